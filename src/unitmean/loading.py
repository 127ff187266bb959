"""Weights files that this package wrote, as modules ready to use."""

from pathlib import Path
from typing import Literal

from unitmean.errors import WeightsError
from unitmean.layouts.files import load_weights
from unitmean.layouts.networks import read_network
from unitmean.networks.loaded import Loaded


def load(
    path: str | Path,
    *,
    pooling: Literal["max", "avg"] | None = None,
    padding: Literal["zeros", "reflect"] | None = None,
) -> Loaded:
    """The network in `normalised.safetensors` (or weights.safetensors) behind its own preprocessing.

    It eats float32 RGB in [0, 1], n x 3 x h x w, and gives its output; `activations(image, layers)` gives
    layers. Pooling and padding are those that the means were measured with unless they are given. Raises
    WeightsError where the file isn't one that the pipeline wrote.
    """
    path = Path(path)
    _, metadata = load_weights(path)
    name = metadata.get("model")
    if not isinstance(name, str):
        raise WeightsError(
            f"{path} must say which model it holds; found {sorted(metadata)!r}: run the pipeline again"
        )
    measured = metadata.get("statistics", {}).get("model", {})
    stored = read_network(
        path,
        name,
        pooling or measured.get("pooling", "max"),
        padding or measured.get("padding", "zeros"),
    )
    return Loaded(stored.network)
