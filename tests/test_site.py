"""The documentation: its examples run, the notebook too, and the site is built without a warning."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from heads import conv2_1

from unitmean.layouts.files import save_weights
from unitmean.networks.inputs import TORCHVISION

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("tutorial", "howto")


def examples(page: str) -> list[str]:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"(?ms)^```python\n(.*?)^```$", text)


@pytest.mark.parametrize(("page", "number"), [(p, i) for p in PAGES for i in range(len(examples(p)))])
def test_an_example_runs_as_it_stands(
    page: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = {"model": "vgg11", "input": TORCHVISION.to_dict()}
    save_weights(tmp_path / "normalised.safetensors", conv2_1(), metadata)
    monkeypatch.chdir(tmp_path)
    exec(compile(examples(page)[number], f"{page}.md", "exec"), {"__name__": page})


def test_the_notebook_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = json.loads((ROOT / "examples" / "tutorial.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5 and all(cell["outputs"] for cell in cells[1:])
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "notebook"}
    for cell in cells:
        exec(compile("".join(cell["source"]), "tutorial.ipynb", "exec"), names)


def test_every_page_is_in_the_site_and_no_link_is_broken(tmp_path: Path) -> None:
    for name in ("docs", "src"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    program = Path(sys.executable).with_name("zensical")
    found = subprocess.run([program, "build", "--strict"], cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    for page in (tmp_path / "docs").glob("*.md"):
        assert f" {page.name}" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), page.name
    reference = (tmp_path / "site" / "reference" / "index.html").read_text(encoding="utf-8")
    assert all(f'id="unitmean.{name}"' in reference for name in ("normalise", "verify", "load", "Plan"))
