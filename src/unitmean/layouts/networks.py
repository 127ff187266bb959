"""Builds a network from a weights file and the model's settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from unitmean.layouts.files import load_weights
from unitmean.networks.architectures import Network, Padding, Pooling, build
from unitmean.networks.inputs import Input


@dataclass(frozen=True)
class Stored:
    """A network, its state dict and the metadata of its file."""

    network: Network
    state: dict[str, Tensor]
    metadata: dict[str, Any]


def read_network(path: Path, name: str, pooling: Pooling, padding: Padding) -> Stored:
    """The network whose weights `save_weights` wrote; WeightsError or NetworkError where they don't fit."""
    state, metadata = load_weights(path)
    network = build(
        name, state, pooling=pooling, padding=padding, input=Input.from_dict(metadata.get("input", {}))
    )
    return Stored(network, state, metadata)
