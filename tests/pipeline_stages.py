"""The stages as programs of this process, on a small network and a few small images."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from scratch_project import composed

from unitmean.pipeline.stages.audit_weights import audit_weights
from unitmean.pipeline.stages.collect_statistics import collect_statistics
from unitmean.pipeline.stages.export_hub import export_hub
from unitmean.pipeline.stages.export_weights import export_weights
from unitmean.pipeline.stages.fetch_weights import fetch_weights
from unitmean.pipeline.stages.index_images import index_images
from unitmean.pipeline.stages.report import report
from unitmean.pipeline.stages.rescale_weights import rescale_weights
from unitmean.pipeline.stages.transfer_style import transfer_style
from unitmean.pipeline.stages.verify_invariance import verify_invariance

Program = Callable[[], None]
STAGES = [
    fetch_weights,
    index_images,
    audit_weights,
    collect_statistics,
    rescale_weights,
    verify_invariance,
    export_weights,
    transfer_style,
    report,
    export_hub,
]
# Pooling leaves the classifier one position of 64 x 64 pixels; 4 images leave many channels with no mean.
SMALL = [
    "dataset.count=6",
    "dataset.pixels=80",
    "dataset.subset=4",
    "preprocess.pixels=96",
    "verify.images=1",
    "transfer.pixels=96",
    "transfer.steps=2",
    "transfer.min_decrease=0.01",
    "rescale.max_dead_fraction=1",
]


def run(patch: pytest.MonkeyPatch, program: Program, *overrides: str) -> None:
    """The program in the project that is the working directory, whose params.yaml becomes the overrides'."""
    Path("params.yaml").write_text(composed(*overrides))
    patch.setattr(sys, "argv", ["stage"])
    program()
