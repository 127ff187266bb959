"""The network that style transfer uses: from a weights file in any layout, or a network's name."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torchvision import models

from unitmean.errors import ConfigError, WeightsError
from unitmean.hub import located
from unitmean.layouts.agreed import agreed_model, require_same_model
from unitmean.layouts.files import load_weights, read_record, read_tensors
from unitmean.layouts.proved import unproved
from unitmean.layouts.reading import canonical, described
from unitmean.networks.architectures import Network, Padding, Pooling, build
from unitmean.networks.inputs import INPUTS, Input
from unitmean.networks.published import published_input
from unitmean.networks.skeleton import skeleton

InputName = Literal["caffe", "torchvision", "unit"]
STAND_IN = (
    "{path} is a stand-in: its weights are random numbers, badly scaled on purpose, and the picture shows "
    "no more than that the program works; give --weights FILE of real ones, or a network's name"
)


@dataclass(frozen=True)
class Seen:
    """A network, whether its channels were normalised, and warnings.

    They tell of a proof that failed, of settings that differ from those it was measured with, and of what was
    left out of its file.
    """

    network: Network
    normalised: bool
    warnings: tuple[str, ...] = ()


def read(
    weights: str | Path,
    *,
    model: str | None = None,
    input: InputName | None = None,
    pooling: Pooling | None = None,
    padding: Padding | None = None,
) -> Seen:
    """The network in a weights file, or torchvision's own weights of the network that `weights` names.

    `weights` may also be a folder or an hf:// address, as for `unitmean.load`. A file that this package wrote
    names its model and its input, which others must not contradict, and the pooling and padding that it was
    measured with, which are used unless others are given. For other files the defaults are vgg19 and, as in
    Gatys et al., mean pooling. Raises WeightsError, NetworkError or ConfigError.
    """
    if not Path(weights).exists() and str(weights) in models.list_models(module=models):
        require_same_model(f"torchvision's {weights}", str(weights), model)
        _require_agreed(f"torchvision's {weights}", published_input(str(weights)), input)
        return Seen(_published(str(weights), pooling or "avg", padding or "zeros"), normalised=False)
    path = located(weights)
    if path.is_file() and read_record(path) is not None:
        return _measured(path, model, input, pooling, padding)
    name = model or "vgg19"
    tensors, converted = read_tensors(path, skeleton(name).state_dict())
    state, layout, implied, taken = canonical(tensors, name)
    found = INPUTS[input] if input else implied
    if found is None:
        raise ConfigError(
            f"weights of {described(layout)} don't say which pixels they were trained on; found no input "
            f"for {str(path)!r}: give --input caffe (BGR in 0..255 less the mean), --input torchvision "
            "(ImageNet's mean and deviation) or --input unit (RGB in [0, 1])"
        )
    network = build(name, state, pooling=pooling or "avg", padding=padding or "zeros", input=found)
    return Seen(network, normalised=False, warnings=(*converted, *taken))


def _measured(
    path: Path,
    model: str | None,
    input: InputName | None,
    pooling: Pooling | None,
    padding: Padding | None,
) -> Seen:
    state, metadata = load_weights(path)
    name = agreed_model(str(path), metadata, model)
    stored = Input.from_dict(metadata.get("input", {}))
    _require_agreed(str(path), stored, input)
    measured = metadata.get("statistics", {}).get("model", {})
    asked = {"pooling": pooling, "padding": padding}
    usual = {"pooling": "avg", "padding": "zeros"}
    used = {key: asked[key] or measured.get(key) or usual[key] for key in asked}
    network = build(name, state, input=stored, **used)  # type: ignore[arg-type]
    warnings = differing(measured, used)
    if metadata.get("source", {}).get("kind") == "seeded":
        warnings.insert(0, STAND_IN.format(path=path))
    if words := unproved(path):
        warnings.insert(0, words)
    return Seen(network, "rescale" in metadata, tuple(warnings))


def _require_agreed(weights: str, pixels: Input, input: InputName | None) -> None:
    """ConfigError where an input is given that isn't that of the weights, which say theirs."""
    if input is not None and INPUTS[input] != pixels:
        known = next((key for key, value in INPUTS.items() if value == pixels), None)
        raise ConfigError(
            f"--input must be {f'{known} or ' if known else ''}left out, since {weights} says which pixels "
            f"it was trained on; found {input!r}: leave it out, or give other weights"
        )


def differing(measured: dict[str, str], used: dict[str, str]) -> list[str]:
    """A sentence for each setting in which a network is used otherwise than its statistics were measured."""
    return [
        f"the statistics were measured with {key} {measured[key]!r}, the network is used with {value!r}: "
        f"its channels are not normalised for that; use {measured[key]!r}, or measure with {value!r}"
        for key, value in used.items()
        if measured.get(key, value) != value
    ]


def _published(name: str, pooling: Pooling, padding: Padding) -> Network:
    weights = models.get_model_weights(name).DEFAULT
    logging.getLogger(__name__).info("downloading %s", weights.url)
    try:
        state = weights.get_state_dict(progress=True, check_hash=True)
    except OSError as error:
        raise WeightsError(
            f"torchvision's weights of {name} must be downloaded; found: {error}; "
            f"get {weights.url} by hand, and give the file with --model {name} --input torchvision"
        ) from error
    return build(
        name,
        {k: torch.as_tensor(v) for k, v in state.items()},
        pooling=pooling,
        padding=padding,
        input=published_input(name),
    )
