"""The page in a browser: nothing complains, nothing is fetched, nothing is cut off on a phone or on paper."""

import shutil
import subprocess
from pathlib import Path

import pytest
from pipeline.report.browser import CHROMIUM, visit
from pipeline.report.made_up import audited, evidence, failed

from unitmean.pipeline.report.render import render

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
PAGES = {"passed": audited(), "failed": failed()}
# Writes to the console, and asks the network in the ways a page can without being clicked.
NOSY = """<!doctype html><title>nosy</title>
<style>body { background: url(http://style.invalid/a.png) }</style>
<img src="https://picture.invalid/b.png"><script>console.error("oh"); fetch("https://script.invalid/c")</script>"""


@pytest.mark.parametrize("name", PAGES)
def test_no_console_errors_and_no_requests(name: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(render(PAGES[name]), encoding="utf-8")
    found = visit(file, tmp_path, f"--screenshot={tmp_path / 'page.png'}")
    assert (tmp_path / "page.png").stat().st_size > 10_000
    assert found.console == [] and found.asked == set()


def test_both_would_be_noticed(tmp_path: Path) -> None:
    """The control."""
    file = tmp_path / "nosy.html"
    file.write_text(NOSY, encoding="utf-8")
    found = visit(file, tmp_path, f"--screenshot={tmp_path / 'page.png'}")
    hosts = {address.split("/")[2].partition(".")[0] for address in found.asked}
    assert hosts == {"style", "picture", "script"} and any('"oh"' in line for line in found.console)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_sticks_out(name: str, width: int, tmp_path: Path) -> None:
    """The page is as wide as the window: tables scroll by themselves."""
    script = "<script>onload = () => console.log(document.documentElement.scrollWidth, innerWidth)</script>"
    (tmp_path / "report.html").write_text(render(PAGES[name]) + script, encoding="utf-8")
    # In a frame, because a headless window may be no narrower than 500 pixels.
    frame = f"<iframe src='report.html' style='width:{width}px;height:900px;border:0'></iframe>"
    (tmp_path / "frame.html").write_text(f"<!doctype html>{frame}", encoding="utf-8")
    found = visit(tmp_path / "frame.html", tmp_path, f"--screenshot={tmp_path / 'page.png'}")
    assert [line.split('"')[1] for line in found.console] == [f"{width} {width}"]


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed")
def test_on_paper_everything_is_there(tmp_path: Path) -> None:
    file, paper = tmp_path / "report.html", tmp_path / "report.pdf"
    file.write_text(render(evidence()), encoding="utf-8")
    visit(file, tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={paper}")
    text = subprocess.run(
        ["pdftotext", "-layout", str(paper), "-"], capture_output=True, text=True, check=True
    )
    words = " ".join(text.stdout.split())
    for part in ("Invariant and normalised", "relu2_1", "new mean", "model.load_state_dict"):
        assert part in words
    # The page's last words, and its widest table's last column.
    assert "assume the original scales." in words
