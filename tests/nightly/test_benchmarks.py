"""The benchmarks run: a table comes out. What it says of speed no test looks at."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.nightly
FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def table(script: str, *arguments: str) -> list[str]:
    """The rows of the Markdown table that the script prints."""
    command = [sys.executable, "-W", "ignore", str(FOLDER / script), *arguments]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return [line for line in found.stdout.splitlines() if line.startswith("|")]


def test_collecting(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for i in range(8):
        pixels = generator.integers(0, 256, (80, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.jpg")
    small = ["--images", "8", "--repeats", "1", "--size", "64", "--model", "alexnet", "--only", "ad"]
    rows = table("collect.py", str(tmp_path), *small)
    assert [row[2] for row in rows[-2:]] == ["a", "d"]


def test_style_transfer() -> None:
    rows = table("style.py", "--size", "64", "--steps", "2", "--rounds", "1")
    assert "tutorial" in rows[-2] and "unitmean" in rows[-1]


def test_precision() -> None:
    rows = table("precision.py", "--images", "32", "--model", "vgg11", "--pixels", "40")
    assert [row.split(" | ")[0] for row in rows[2:4]] == ["| features.1", "| features.4"]
    median, worst = (float(number) for number in rows[2].split(" | ")[2].split(", "))
    assert 1e-5 < median < worst < 2**-8
