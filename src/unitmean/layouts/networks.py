"""Builds a network from a weights file and the model's settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from unitmean.layouts.files import load_weights
from unitmean.networks.architectures import Network, Padding, Pooling, build
from unitmean.networks.inputs import Input
from unitmean.networks.own import code_of, spelt


@dataclass(frozen=True)
class Stored:
    """A network, its state dict and the metadata of its file."""

    network: Network
    state: dict[str, Tensor]
    metadata: dict[str, Any]


def read_network(
    path: Path, name: str, pooling: Pooling, padding: Padding, code: str | None = None
) -> Stored:
    """The network whose weights `save_weights` wrote; WeightsError or NetworkError where they don't fit.

    name, code: one of torchvision's networks, or with `code` what the function `name` of that file makes.
    """
    state, metadata = load_weights(path)
    network = build(
        spelt(name, code),
        state,
        pooling=pooling,
        padding=padding,
        input=Input.from_dict(metadata.get("input", {})),
    )
    return Stored(network, state, metadata)


def as_recorded(model: Mapping[str, Any]) -> dict[str, Any]:
    """The settings `model.*` as files record them: of a network of one's own with a digest of its code."""
    settings = dict(model)
    return settings | {"code": code_of(spelt(settings["name"], settings["code"]))}
