"""Killed with SIGKILL at random moments, a run goes on and leaves the bytes of an undisturbed one."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
import stage_server
from heads import conv2_1
from safetensors.torch import save_file
from scratch_project import copy_settings
from stage_server import serve

SHARDS = 16
OVERRIDES = [
    "model=vgg11",
    "weights=file",
    "weights.path=conv2_1.safetensors",
    "weights.input=torchvision",
    f"dataset.count={2 * SHARDS}",
    "dataset.size=32",
    f"dataset.subset={2 * SHARDS}",
    "preprocess.size=32",
    "collect.batch_size=2",
    "collect.shard_size=2",
]
OUTPUTS = ("statistics.parquet", "shards.parquet", "convergence.csv")
STAGES = ("fetch_weights", "index_images", "collect_statistics")
KILLS = 10


@pytest.fixture(scope="module")
def server():
    return serve(STAGES)


def start(server, folder: Path, stage: str = STAGES[-1], *overrides: str):
    return stage_server.start(server, folder, stage, [*OVERRIDES, *overrides])


def finish(server, folder: Path, *overrides: str) -> dict[str, bytes]:
    ended = start(server, folder, STAGES[-1], *overrides).end()
    assert ended.code == 0, ended.words
    return {name: (folder / "data/vgg11" / name).read_bytes() for name in OUTPUTS}


@pytest.fixture(scope="module")
def folder(server, tmp_path_factory) -> Path:
    """A project with weights and images, and nothing measured."""
    folder = copy_settings(tmp_path_factory.mktemp("killed"))
    save_file(conv2_1(), folder / "conv2_1.safetensors")
    for stage in STAGES[:2]:
        ended = start(server, folder, stage).end()
        assert ended.code == 0, ended.words
    return folder


def clear(folder: Path) -> None:
    for path in [*(folder / ".partial/shards").glob("*"), *(folder / "data/vgg11" / n for n in OUTPUTS)]:
        path.unlink(missing_ok=True)


def kept(folder: Path) -> int:
    return len(list((folder / ".partial/shards").glob("[!.]*.parquet")))


@pytest.mark.slow
def test_killed_ten_times_and_equal_byte_for_byte(server, folder):
    clear(folder)
    began = time.monotonic()
    undisturbed = finish(server, folder)
    pause = (time.monotonic() - began) / KILLS
    whole = kept(folder)
    assert whole == SHARDS
    clear(folder)
    draw = random.Random(0)
    found = []
    for kill in range(KILLS):
        running = start(server, folder)
        # At least so many shards, so that all kills together fall all over the run; then at any moment.
        wanted = whole * kill // KILLS
        while running.process.is_alive() and kept(folder) < wanted:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, pause))
        os.kill(running.pid, signal.SIGKILL)
        found.append((running.end().code, kept(folder)))
    # They were killed, not finished, and what had been measured stayed.
    assert sum(code == -signal.SIGKILL for code, _ in found) >= KILLS - 2, found
    assert len({count for _, count in found}) > 3, found
    assert [count for _, count in found] == sorted(count for _, count in found)
    assert finish(server, folder) == undisturbed


@pytest.mark.slow
def test_a_larger_subset_and_back_give_the_same_bytes(server, folder):
    clear(folder)
    small = finish(server, folder, f"dataset.subset={SHARDS}")
    assert kept(folder) == SHARDS // 2
    large = finish(server, folder)
    assert kept(folder) == SHARDS and large != small
    assert finish(server, folder, f"dataset.subset={SHARDS}") == small
    clear(folder)
    assert finish(server, folder) == large
