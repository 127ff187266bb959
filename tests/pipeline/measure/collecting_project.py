"""A small measurement: the head of a VGG-11 with seeded weights, on a few small generated images."""

from pathlib import Path
from typing import Any

import torch
from heads import conv2_1

from unitmean.graph.analysis import analyse
from unitmean.networks.architectures import build
from unitmean.networks.inputs import TORCHVISION
from unitmean.pipeline.index.containers import list_images
from unitmean.pipeline.index.index import Index, build_rows
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.measure.measurement import Measurement
from unitmean.pipeline.sources.images.generated import generate

SIZE = 24  # pixels


def images(folder: Path, count: int = 11) -> Index:
    tar = folder / "images.tar"
    generate(tar, count=count, size=32, seed=0)
    rows, _ = build_rows(tar, list_images(tar), tar.name, seed=0, skip=False)
    return Index(tuple(rows), folder)


def measurement(**changes: Any) -> Measurement:
    state = conv2_1()
    network = build("vgg11", state, input=TORCHVISION)
    plan = analyse(network.module, torch.zeros(1, 3, SIZE, SIZE), outputs="normalise")
    settings: dict[str, Any] = {"batch_size": 3, "identity": {"weights": "seeded"}} | changes
    return Measurement(network, plan.sites, Preprocessing("warp", SIZE), **settings)
