"""Control codes reach a terminal that takes them, and nothing else."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

# A bar whose patience is over at once, then the table that `unitmean repro` ends with.
PROGRAM = """
from pathlib import Path
from unitmean.pipeline.commands.repro import name_files, show
from unitmean.disk import progress

progress.PATIENCE = -1.0
print("one line")
list(progress.watched("abc", 3, "measuring", "batches"))
show(Path("data/small"))
name_files(Path("data/small"))
"""
FORBIDDING = ("NO_COLOR", "TERM", "FORCE_COLOR", "COLORTERM")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small = tmp_path / "data" / "small"
    small.mkdir(parents=True)
    figures = {"passed": True, "float64_log10": -12.9, "top1_agreement": 1.0, "accuracy_after": None}
    (small / "invariance.json").write_text(json.dumps(figures))
    (small / "hub").mkdir()
    for name in ("report.html", "hub/README.md"):
        (small / name).touch()
    return tmp_path


def on_a_terminal(folder: Path, environment: Mapping[str, str]) -> str:
    """What the program writes where stdout and stderr are a terminal."""
    ours, its = pty.openpty()
    command = [sys.executable, "-c", PROGRAM]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=its, stdout=its, stderr=its)
    os.close(its)
    words = b""
    try:
        while some := os.read(ours, 1 << 16):
            words += some
    except OSError:  # how Linux says that the last writer is gone
        pass
    os.close(ours)
    assert process.wait() == 0, words
    return words.decode()


def piped(folder: Path, environment: Mapping[str, str]) -> str:
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ).stdout


@pytest.mark.parametrize(
    ("write", "settings", "lively"),
    [
        (on_a_terminal, {"TERM": "xterm-256color"}, True),
        (on_a_terminal, {"TERM": "xterm-256color", "NO_COLOR": ""}, True),  # empty: not set
        (on_a_terminal, {"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        (on_a_terminal, {"TERM": "dumb"}, False),
        (piped, {"TERM": "xterm-256color"}, False),
        (piped, {"TERM": "xterm-256color", "FORCE_COLOR": "1"}, False),
    ],
)
def test_codes_and_bars_are_for_terminals(
    folder: Path, write: Callable[[Path, Mapping[str, str]], str], settings: dict[str, str], lively: bool
) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in FORBIDDING} | settings
    words = write(folder, environment)
    assert ("\x1b" in words) == ("measuring" in words) == lively, words
    if not lively:
        assert words.replace("\r", "").splitlines() == [
            "one line",
            "",
            "proved                                       yes",
            "change of the output, float64, relative  1.3e-13",
            "same top-1 class                          100.0%",
            "report: data/small/report.html",
            "for the hub: data/small/hub, by `hf upload OWNER/NAME data/small/hub`",
        ]
