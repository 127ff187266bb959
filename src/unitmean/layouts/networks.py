"""A network as a weights file and a model's settings make it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from unitmean.layouts.files import load_weights
from unitmean.networks.architectures import Network, build
from unitmean.networks.inputs import Input


@dataclass(frozen=True)
class Stored:
    """A network, its state dict and the metadata that lay beside it."""

    network: Network
    state: dict[str, Tensor]
    metadata: dict[str, Any]


def read_network(
    path: Path, name: str, pooling: Literal["max", "avg"], padding: Literal["zeros", "reflect"]
) -> Stored:
    """The network whose weights `save_weights` wrote; WeightsError or NetworkError where they don't fit."""
    state, metadata = load_weights(path)
    network = build(
        name, state, pooling=pooling, padding=padding, input=Input.from_dict(metadata.get("input", {}))
    )
    return Stored(network, state, metadata)
