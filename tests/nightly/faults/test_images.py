"""Images that change under a run are refused by name, whatever happened to them."""

import os
import shutil
import signal
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from nightly.faults.fault_project import Project, one_error
from stage_server import start

from unitmean.pipeline.index.index import load_index
from unitmean.pipeline.sources.images.generated import generate


def one_bit(tar: Path) -> None:
    """In the middle of every image."""
    raw = bytearray(tar.read_bytes())
    with tarfile.open(tar) as archive:
        for member in archive:
            raw[member.offset_data + member.size // 2] ^= 1
    tar.write_bytes(raw)


def other_pixels(tar: Path) -> None:
    generate(tar, count=20, size=48, seed=1)


def truncated(tar: Path) -> None:
    os.truncate(tar, 1024)


@pytest.mark.parametrize("change", [one_bit, other_pixels, truncated])
def test_images_change_under_collect(project: Project, change: Callable[[Path], None]) -> None:
    tar, shards = project.folder / "data/generated/images/images.tar", project.folder / ".partial/shards"
    rows = load_index(tar.parent / "index.parquet").rows
    right = tar.read_bytes()
    shutil.rmtree(project.folder / ".partial", ignore_errors=True)
    running = start(project.server, project.folder, "collect_statistics")
    while running.process.is_alive() and not list(shards.glob("[!.]*")):
        time.sleep(0.001)
    os.kill(running.pid, signal.SIGSTOP)  # nothing of it ends while the images change
    measured = len(list(shards.glob("[!.]*")))
    try:
        change(tar)
        os.kill(running.pid, signal.SIGCONT)
        ended = running.end()
    finally:
        tar.write_bytes(right)
    assert 1 <= measured < 8
    assert one_error(ended) and any(repr(row.name) in ended.words for row in rows), ended
    if change is not truncated:
        assert "sha256" in ended.words
    project.survives(f"images changed under a run: {change.__name__}", "collect_statistics")
