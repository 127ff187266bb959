"""Weights files that this package wrote: as modules ready to use, or as the results that they were."""

from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from unitmean.errors import WeightsError
from unitmean.hub import located
from unitmean.layouts.files import load_weights
from unitmean.layouts.networks import read_network
from unitmean.networks.loaded import Loaded
from unitmean.results import KIND, Normalised


def load(
    path: str | Path,
    *,
    pooling: Literal["max", "avg"] | None = None,
    padding: Literal["zeros", "reflect"] | None = None,
) -> Loaded | Normalised:
    """The network in `normalised.safetensors` (or weights.safetensors) behind its own preprocessing.

    It eats float32 RGB in [0, 1], n x 3 x h x w, and gives its output; `activations(image, layers)` gives
    layers. A folder that `+exports=hub` wrote is taken too, and `hf://owner/name[@revision]`, which
    huggingface_hub downloads. Pooling and padding are those that the means were measured with unless they
    are given. Of a file that `result.save` wrote it is that result: give its `state` to the model. Raises
    WeightsError where the file is neither, or where a result is asked for another pooling or padding.
    """
    path = located(path)
    state, metadata = load_weights(path)
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
