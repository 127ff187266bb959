"""What is exported: VGG-19's convolutions, or the first of them."""

from functools import cache

import torch

from unitmean.layouts.kinds import layouts
from unitmean.layouts.layout import Layout
from unitmean.layouts.networks import Stored
from unitmean.networks.architectures import build
from unitmean.networks.inputs import Input
from unitmean.networks.skeleton import skeleton

METADATA = {
    "licence": "CC BY 4.0",
    "source": {"kind": "file", "sha256": "a" * 64},
    "rescale": {"outputs": "normalise", "rounding": "none"},
    "statistics": {"images": 7, "dataset": "photographs", "model": {"pooling": "max", "padding": "zeros"}},
}

COUNTS = {"channels": 9, "normalised": 6, "tied": 0, "dead": 2, "pinned": 1}


def stored(input: Input, convolutions: int = 16) -> Stored:
    weights = state(convolutions)
    return Stored(build("vgg19", weights, input=input), weights, METADATA)


@cache
def state(convolutions: int) -> dict[str, torch.Tensor]:
    """VGG-19's first convolutions, with weights that keep activations near one."""
    features = skeleton("vgg19").get_submodule("features").state_dict()
    generator = torch.Generator().manual_seed(3)
    made = {}
    for key, empty in list(features.items())[: 2 * convolutions]:
        scale = (2 / empty[0].numel()) ** 0.5 if key.endswith("weight") else 0.1
        made[f"features.{key}"] = torch.randn(empty.shape, generator=generator) * scale
    return made


def named(*names: str) -> list[Layout]:
    return [layouts()[name] for name in names]
