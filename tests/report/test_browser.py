"""The page in a browser: nothing complains, and nothing is fetched."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from made_up import evidence, failed

from unitmean.report.render import render

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("page", [evidence(), failed()], ids=["passed", "failed"])
def test_no_console_errors_and_no_requests(page, tmp_path: Path) -> None:
    file, log = tmp_path / "report.html", tmp_path / "net.json"
    file.write_text(render(page), encoding="utf-8")
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr"]
    command += [f"--log-net-log={log}", f"--screenshot={tmp_path / 'page.png'}", f"file://{file}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (tmp_path / "page.png").stat().st_size > 10_000, result.stderr
    assert "CONSOLE" not in result.stderr
    events = json.loads(log.read_text())["events"]
    asked = {event["params"]["url"] for event in events if "url" in event.get("params", {})}
    # The browser itself may call home; the page has no address that leads there.
    assert not {url for url in asked if str(file.parent) in url and not url.endswith("report.html")}
    assert "http://" not in file.read_text() and 'src="https' not in file.read_text()
