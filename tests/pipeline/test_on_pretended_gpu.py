"""Stages and commands from end to end on a GPU, a pretended one: every machine walks the same code."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from narrow import narrow
from pipeline_stages import SMALL, STAGES, run
from pretended_gpu import pretended
from scratch_project import copy_settings
from torchcodec.decoders import decode_jpeg

from unitmean.pipeline.index import pixels
from unitmean.pipeline.stages.collect_statistics import collect_statistics
from unitmean.pipeline.stages.transfer_style import transfer_style

SETTINGS = ["model=alexnet", *SMALL, "audit.enabled=true", "audit.images=2"]


def by_nvjpeg(data: Any, mode: Literal["RGB"], device: str = "cpu") -> Any:
    """A list of JPEGs on a GPU, one JPEG on the CPU."""
    if device == "cpu":
        return decode_jpeg(data, mode=mode)
    return [image.to(device) for image in decode_jpeg(data, mode=mode)]


@contextmanager
def gpu() -> Iterator[None]:
    with pretended(), mock.patch.object(pixels, "decode_jpeg", by_nvjpeg):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project in which all stages ran on a GPU, but for style transfer, whose gradients need a driver."""
    folder = copy_settings(tmp_path_factory.mktemp("project"))
    with pytest.MonkeyPatch.context() as patch:
        narrow(patch, "alexnet")
        patch.chdir(folder)
        for program in STAGES:
            if program is transfer_style:
                run(patch, program, *SETTINGS, "runtime.device=cpu")
            else:
                with gpu():
                    run(patch, program, *SETTINGS, "runtime.device=cuda")
        yield folder


def recorded(data: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pq.read_metadata(data / "statistics.parquet").metadata[b"unitmean"])
    return found


def test_float16_is_collected_corrected_and_proved(folder: Path) -> None:
    data = folder / "data/alexnet"
    found = recorded(data)
    names = ("device", "decoder", "precision", "batch_size")
    assert [found[name] for name in names] == ["cuda", "gpu", "float16", 256]
    assert found["control"]["corrected"] and 0 < found["control"]["error"]["median"] < 1e-3
    proof = json.loads((data / "proof.json").read_text())
    assert proof["passed"] and proof["float64_difference"] < 1e-12


def test_means_are_those_of_the_cpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "data/alexnet/statistics.parquet"
    on_gpu = pd.read_parquet(path)
    monkeypatch.chdir(folder)
    run(monkeypatch, collect_statistics, *SETTINGS, "runtime.device=cpu")
    on_cpu = pd.read_parquet(path)
    features = on_cpu["site"].isin([f"relu{i}" for i in range(1, 6)])
    live = features & (on_cpu["mean"] > 0.01 * on_cpu.groupby("site")["mean"].transform("max"))
    errors = (on_gpu["mean"] / on_cpu["mean"] - 1).abs()[live]
    # Four images resized in other arithmetic: bytes differ by one here and there.
    assert live.sum() > 100 and 0 < errors.median() < 0.01 and errors.max() < 0.1


def test_the_audit_tried_every_candidate(folder: Path) -> None:
    tried = pd.read_csv(folder / "data/alexnet/audit_candidates.csv")
    assert len(tried) > 10 and tried["distance"].between(0.5, 1).all()


def test_a_tensor_on_the_wrong_device_is_found() -> None:
    with pretended():
        x = torch.ones(2, device="cuda")
        assert (x + torch.tensor(1.0)).tolist() == [2.0, 2.0]
        with pytest.raises(RuntimeError, match="same device"):
            x + torch.ones(2)
        with pytest.raises(TypeError, match="numpy"):
            x.numpy()
