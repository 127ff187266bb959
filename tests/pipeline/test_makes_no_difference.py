"""Without a network, in another folder, in another process: the same bytes; in other batches, nearly.

`pytest -s` prints how many bytes and how nearly.
"""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from narrow import narrow
from pipeline_stages import SMALL, STAGES, run
from scratch_project import ROOT, composed, copy_settings

from unitmean.pipeline.stages.collect_statistics import collect_statistics

ALEXNET = ["model=alexnet", *SMALL]
NAMES = [stage.__name__ for stage in STAGES]
# The child process's network is as narrow as this one's.
NARROW = f"""
import sys
sys.path.append({str(ROOT / "tests")!r})
import pytest
from narrow import narrow
narrow(pytest.MonkeyPatch(), "alexnet")
"""
# Of a layer's largest mean. Convolutions sum in another order for another batch size.
TOLERANCE = 1e-5
# Imported by Python before anything else.
BLOCK = """
import socket

def refuse(*_, **__):
    raise AssertionError("the network was asked for")

socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = refuse
"""


def python(code: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def all_stages(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """In a new project in `folder`, in one process, with the sources that are the default."""
    folder.mkdir()
    copy_settings(folder)
    (folder / "params.yaml").write_text(composed(*ALEXNET))
    stages = "\n".join(f"from unitmean.pipeline.stages.{name} import {name}; {name}()" for name in NAMES)
    result = python(NARROW + stages, folder, environment)
    assert result.returncode == 0, result.stderr
    return result


def outputs(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in (folder / "data").rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose Pythons have no network."""
    blocker = tmp_path_factory.mktemp("blocker")
    (blocker / "sitecustomize.py").write_text(BLOCK)
    path = os.pathsep.join([str(blocker), str(ROOT / "src")])
    return {key: value for key, value in os.environ.items() if "proxy" not in key.lower()} | {
        "PYTHONPATH": path
    }


def test_no_network_two_projects_and_other_batches(
    tmp_path: Path, offline: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = all_stages(tmp_path / "first", offline)
    words = [line.split()[0] for line in result.stdout.splitlines()]
    assert [word for word in words if word in NAMES] == NAMES
    all_stages(tmp_path / "second", dict(os.environ))
    first, second = outputs(tmp_path / "first"), outputs(tmp_path / "second")
    assert len(first) > 20 and len(first["data/alexnet/report.html"]) > 10_000
    assert second == first

    narrow(monkeypatch, "alexnet")
    monkeypatch.chdir(tmp_path / "second")
    run(monkeypatch, collect_statistics, *ALEXNET, "collect.batch_size=3")
    a, b = (pd.read_parquet(tmp_path / n / "data/alexnet/statistics.parquet") for n in ("first", "second"))
    difference = (b["mean"] - a["mean"]).abs() / a.groupby("site")["mean"].transform("max")
    assert 0 < difference.max() <= TOLERANCE
    print(f"{len(first)} files equal; means by another batch size within {difference.max():.1e}")


def test_the_block_is_felt_where_a_download_is_asked_for(tmp_path: Path, offline: dict[str, str]) -> None:
    """The control."""
    code = "import urllib.request; urllib.request.urlopen('http://localhost:9/')"
    assert "the network was asked for" in python(code, tmp_path, offline).stderr
