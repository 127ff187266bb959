"""collect_statistics as a program: precision, correction and target leave their traces in the files."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from heads import conv2_1
from safetensors.torch import save_file
from scratch_project import copy_settings

from unitmean.pipeline.disk.frames import read_parquet
from unitmean.pipeline.rescale.statistics import COLUMNS
from unitmean.pipeline.stages.collect_statistics import collect_statistics
from unitmean.pipeline.stages.fetch_weights import fetch_weights
from unitmean.pipeline.stages.index_images import index_images

SMALL = [
    "model=vgg11",
    "weights=file",
    "weights.path=conv2_1.safetensors",
    "weights.input=torchvision",
    "dataset.count=40",
    "dataset.pixels=32",
    "dataset.subset=40",
    "preprocess.pixels=32",
    "collect.shard_size=4",
]

Statistics = Callable[..., tuple[pd.DataFrame, dict[str, Any]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_settings(tmp_path_factory.mktemp("project"))
    save_file(conv2_1(), folder / "conv2_1.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for program in (fetch_weights, index_images):
            patch.setattr(sys, "argv", ["stage", *SMALL])
            program()
    return folder


@pytest.fixture
def statistics(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Statistics:
    """The statistics and their metadata under overrides."""
    monkeypatch.chdir(folder)

    def run(*overrides: str) -> tuple[pd.DataFrame, dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", ["stage", *SMALL, *overrides])
        collect_statistics()
        return read_parquet(folder / "data/vgg11/statistics.parquet", COLUMNS)

    return run


def test_bfloat16_is_measured_against_float32_and_corrected_when_asked(statistics: Statistics) -> None:
    exact, plain = statistics()
    assert plain["precision"] == "float32" and plain["control"] is None
    rough, found = statistics("collect.precision=bfloat16", "collect.control_images=16")
    control = found["control"]
    assert found["precision"] == "bfloat16" and control["images"] == 16 and not control["corrected"]
    mended, corrected = statistics(
        "collect.precision=bfloat16", "collect.control_images=16", "collect.correct=true"
    )
    assert corrected["control"] == control | {"corrected": True}
    live = exact["mean"] > 0

    def error(table: pd.DataFrame) -> float:
        return float((table["mean"] / exact["mean"] - 1).abs()[live].median())

    # What the run says of itself is true of all its images, within a factor of two.
    assert 0.5 < error(rough) / control["error"]["median"] < 2
    assert error(mended) < 1e-3 and error(mended) < error(rough)
    factor = (mended["mean"] / rough["mean"])[live]
    pd.testing.assert_series_equal(
        mended["standard_error"][live] / rough["standard_error"][live], factor, check_names=False
    )


def test_a_target_ends_the_run_early_and_the_files_say_where(
    statistics: Statistics, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statistics()
    whole = pd.read_csv(folder / "data/vgg11/convergence.csv")
    target = whole["at_share"][8] * 1.0001
    table, metadata = statistics(f"collect.target_standard_error={target}")
    convergence = pd.read_csv(folder / "data/vgg11/convergence.csv")
    assert metadata["images"] == convergence["images"].iloc[-1] == table["images"][0] < 40
    assert convergence["share"].iloc[-1] >= 0.95
    shards = pq.ParquetFile(folder / "data/vgg11/shards.parquet").read()
    assert shards["shard"].to_pylist()[-1] == len(convergence) - 1
    assert json.loads(shards.schema.metadata[b"unitmean"])["index"] == metadata["index"]
    assert f"over {metadata['images']} images" in capsys.readouterr().out
