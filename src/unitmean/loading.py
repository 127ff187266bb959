"""Loads weights files that the pipeline wrote, as modules ready to use."""

import warnings
from pathlib import Path

from unitmean.errors import WeightsError
from unitmean.hub import located
from unitmean.layouts.agreed import agreed_model
from unitmean.layouts.files import load_weights
from unitmean.layouts.networks import read_network
from unitmean.layouts.proved import unproved
from unitmean.networks.architectures import Padding, Pooling
from unitmean.networks.hooked import SIDE
from unitmean.networks.loaded import Loaded
from unitmean.results import KIND


def load(
    path: str | Path,
    *,
    model: str | None = None,
    pooling: Pooling | None = None,
    padding: Padding | None = None,
) -> Loaded:
    """The network in `normalised.safetensors` (or weights.safetensors) behind its own preprocessing.

    The module takes float32 RGB in [0, 1], n x 3 x h x w, and returns its output; `activations(image,
    layers)` returns layers. `path` may also be a folder that `+exports=hub` or `unitmean normalise --export
    hub` wrote, or `hf://owner/name[@revision]`, which huggingface_hub downloads. model: FILE.py:NAME, the
    code that makes a network of one's own; a file alone never runs code. Pooling and padding default to those
    that the means were measured with. Warns where the pipeline's proof of the file, proof.json beside it,
    failed or is of other bytes, and where the code changed. Raises WeightsError where the file holds no
    network (what `result.save` wrote is read by `Normalised.load`), ConfigError where `model` isn't the
    file's.
    """
    path = located(path)
    metadata = load_weights(path)[1]
    if metadata.get("kind") == KIND:
        raise WeightsError(
            f"{path} must hold a network; found what result.save wrote: unitmean.Normalised.load(path) gives "
            "the result, whose state the model's load_state_dict takes"
        )
    if words := unproved(path):
        warnings.warn(words, stacklevel=2)
    name = agreed_model(str(path), metadata, model)
    measured = metadata.get("statistics", {}).get("model", {})
    stored = read_network(
        path,
        name,
        pooling or measured.get("pooling", "max"),
        padding or measured.get("padding", "zeros"),
    )
    shown = metadata.get("statistics", {}).get("preprocess", {})
    return Loaded(stored.network, shown.get("crop") or shown.get("pixels") or SIDE)
