"""Loads weights files that this package wrote, as modules ready to use or as `Normalised` results."""

import warnings
from pathlib import Path
from typing import Any

from torch import Tensor

from unitmean.errors import WeightsError
from unitmean.hub import located
from unitmean.layouts.files import load_weights
from unitmean.layouts.networks import read_network
from unitmean.layouts.proved import unproved
from unitmean.networks.architectures import Padding, Pooling
from unitmean.networks.loaded import Loaded
from unitmean.results import KIND, Normalised


def load(
    path: str | Path,
    *,
    pooling: Pooling | None = None,
    padding: Padding | None = None,
) -> Loaded | Normalised:
    """The network in `normalised.safetensors` (or weights.safetensors) behind its own preprocessing.

    The module takes float32 RGB in [0, 1], n x 3 x h x w, and returns its output; `activations(image,
    layers)` returns layers. `path` may also be a folder that `+exports=hub` or `unitmean normalise --export
    hub` wrote, or `hf://owner/name[@revision]`, which huggingface_hub downloads. Pooling and padding default
    to those that the means were measured with. For a file that `result.save` wrote, that result is returned:
    give its `state` to the model. Warns where the pipeline's proof of the file, proof.json beside it, failed.
    Raises WeightsError where the file is neither, or where pooling or padding is given for a result.
    """
    path = located(path)
    state, metadata = load_weights(path)
    if words := unproved(path):
        warnings.warn(words, stacklevel=2)
    if metadata.get("kind") == KIND:
        if pooling or padding:
            raise WeightsError(
                f"pooling and padding must be left out for {path}, which result.save wrote and which holds "
                f"no network; found pooling={pooling!r}, padding={padding!r}: set them in the model"
            )
        return _result(path, state, metadata)
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


def _result(path: Path, state: dict[str, Tensor], metadata: dict[str, Any]) -> Normalised:
    try:
        return Normalised.from_values(state, metadata)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"{path} must hold what result.save wrote; found {type(error).__name__} {error} in its metadata; "
            "it was changed, or written by another version: save it again"
        ) from error
