"""Killed with SIGKILL between shards and within one, a run goes on and leaves an undisturbed run's bytes."""

import os
import signal
from collections.abc import Callable
from functools import partial
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import stage_server
from heads import conv2_1
from safetensors.torch import save_file
from scratch_project import composed, copy_settings
from stage_server import Running, serve

SHARDS = 16
OVERRIDES = [
    "model=vgg11",
    "weights=file",
    "weights.path=conv2_1.safetensors",
    "weights.input=torchvision",
    f"dataset.count={2 * SHARDS}",
    "dataset.pixels=32",
    f"dataset.subset={2 * SHARDS}",
    "preprocess.pixels=32",
    "collect.batch_size=2",
    "collect.shard_size=2",
]
OUTPUTS = ("statistics.parquet", "shards.parquet", "convergence.csv")
STAGES = ("fetch_weights", "index_images", "collect_statistics")
# At which new shard, counted anew in every run, and at which moment of writing it.
KILLS = [
    (1, "half"),
    (1, "whole"),
    (1, "in place"),
    (2, "half"),
    (3, "in place"),
    (2, "whole"),
    (4, "in place"),
]


@pytest.fixture(scope="module")
def server() -> ForkServerContext:
    return serve(STAGES)


def start(
    server: ForkServerContext,
    folder: Path,
    stage: str = STAGES[-1],
    *overrides: str,
    before: Callable[[], None] | None = None,
) -> Running:
    (folder / "params.yaml").write_text(composed(*OVERRIDES, *overrides))
    return stage_server.start(server, folder, stage, before=before)


def finish(server: ForkServerContext, folder: Path, *overrides: str) -> dict[str, bytes]:
    ended = start(server, folder, STAGES[-1], *overrides).end()
    assert ended.code == 0, ended.words
    return {name: (folder / "data/vgg11" / name).read_bytes() for name in OUTPUTS}


@pytest.fixture(scope="module")
def folder(server: ForkServerContext, tmp_path_factory: pytest.TempPathFactory) -> Path:
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


def die_at(shard: int, moment: str) -> None:
    """SIGKILL ends this process at its nth new shard: when half of it is written, all of it, or in place."""
    replace, seen = os.replace, 0

    def watched(source: str | Path, target: str | Path) -> None:
        nonlocal seen
        seen += Path(target).parent.name == "shards"
        if seen < shard:
            return replace(source, target)
        if moment == "half":
            os.truncate(source, os.stat(source).st_size // 2)
        if moment == "in place":
            replace(source, target)
        os.kill(os.getpid(), signal.SIGKILL)

    pytest.MonkeyPatch().setattr(os, "replace", watched)  # what `Path.replace` calls


def test_killed_again_and_again_and_equal_byte_for_byte(server: ForkServerContext, folder: Path) -> None:
    clear(folder)
    undisturbed = finish(server, folder)
    assert kept(folder) == SHARDS
    clear(folder)
    expected = 0
    for shard, moment in KILLS:
        ended = start(server, folder, before=partial(die_at, shard, moment)).end()
        # It was killed, and what had been measured stayed: neither less nor, half-written, more.
        assert ended.code == -signal.SIGKILL, ended
        expected += shard if moment == "in place" else shard - 1
        assert kept(folder) == expected
    assert 0 < SHARDS - expected < SHARDS
    assert finish(server, folder) == undisturbed
    assert not list((folder / ".partial/shards").glob(".*"))


def test_a_larger_subset_and_back_give_the_same_bytes(server: ForkServerContext, folder: Path) -> None:
    clear(folder)
    small = finish(server, folder, f"dataset.subset={SHARDS}")
    assert kept(folder) == SHARDS // 2
    large = finish(server, folder)
    assert kept(folder) == SHARDS and large != small
    assert finish(server, folder, f"dataset.subset={SHARDS}") == small
    clear(folder)
    assert finish(server, folder) == large
