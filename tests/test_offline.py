"""The default sources need no network: every stage runs where sockets refuse to connect."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from scratch_project import ROOT, copy_settings

# Imported by Python before anything else.
BLOCK = """
import socket

def refuse(*_, **__):
    raise AssertionError("the network was asked for")

socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = refuse
"""
STAGES = (
    "fetch_weights index_images audit_weights collect_statistics rescale_weights verify_invariance "
    "transfer_style report"
)
# Pooling leaves the classifier one position; four images leave many channels with no mean.
TINY = (
    "model=alexnet dataset.count=6 dataset.size=80 dataset.subset=4 preprocess.size=96 verify.images=1 "
    "verify.max_float32_ratio=8 transfer.size=96 transfer.steps=2 transfer.min_decrease=0.01 "
    "rescale.max_dead_fraction=1 audit=true audit.images=2 audit.size=96 audit.pixels=[warp] "
    "audit.paddings=[zeros]"
)


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """An environment whose Pythons have no network."""
    blocker = tmp_path / "blocker"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text(BLOCK)
    path = os.pathsep.join([str(blocker), str(ROOT / "src")])
    return {key: value for key, value in os.environ.items() if "proxy" not in key.lower()} | {
        "PYTHONPATH": path
    }


def python(code: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_the_default_stages_ask_for_no_network(tmp_path: Path, offline: dict[str, str]) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    copy_settings(folder)
    code = f"import sys; sys.argv[1:] = {TINY.split()!r}\n"
    code += "\n".join(f"from unitmean.stages.{name} import {name}; {name}()" for name in STAGES.split())
    result = python(code, folder, offline)
    assert result.returncode == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines() if line.split()[0] in STAGES.split()] == (
        STAGES.split()
    )
    assert (folder / "data" / "alexnet" / "report.html").stat().st_size > 10_000


def test_the_block_is_felt_where_a_download_is_asked_for(tmp_path: Path, offline: dict[str, str]) -> None:
    """The control."""
    code = "import urllib.request; urllib.request.urlopen('http://localhost:9/')"
    assert "the network was asked for" in python(code, tmp_path, offline).stderr
