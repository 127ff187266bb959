"""The weights that the settings `weights.*` name, from whichever source they name."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unitmean import __version__
from unitmean.errors import ConfigError, WeightsError
from unitmean.layouts.files import as_float32, read_record, read_tensors
from unitmean.layouts.reading import canonical, described
from unitmean.networks.architectures import build
from unitmean.networks.inputs import INPUTS, Input, recorded_input
from unitmean.networks.own import code_of
from unitmean.networks.skeleton import skeleton
from unitmean.pipeline.sources.weights import weights_sources
from unitmean.pipeline.sources.weights.source import Request


class Fetched(NamedTuple):
    """float32 weights under the network's keys, their provenance for JSON, and the download to be removed."""

    state_dict: dict[str, Tensor]
    metadata: dict[str, Any]
    downloaded: Path | None


def fetch(request: Request, partial: Path) -> Fetched:
    """Get the weights, check that they fit the model, and say where they came from.

    `partial` is a folder for downloads. Raises ConfigError, DownloadError, WeightsError, NetworkError.
    """
    skeleton(request.model)  # an unknown model is refused before anything is downloaded
    sources = weights_sources()
    if request.source not in sources:
        raise ConfigError(
            f"weights.source must be one of {', '.join(sources)}; found {request.source!r}: choose one"
        )
    origin = sources[request.source].get(request, partial)
    if origin.path is None:
        assert origin.made is not None
        tensors, notes = as_float32(origin.made)
        stated = None
    else:
        tensors, notes = read_tensors(origin.path, skeleton(request.model).state_dict())
        stated = recorded_input(read_record(origin.path))
        if stated is not None and INPUTS.get(request.input, stated) != stated:
            raise WeightsError(
                f"weights.input={request.input} contradicts the file, whose metadata say {stated!r}; "
                "use weights.input=auto"
            )
    state_dict, layout, said, more = canonical(tensors, request.model)
    notes += more
    implied = stated or said or origin.input
    input = choose_input(request.input, implied, layout)
    network = build(request.model, state_dict, input=input)  # refuses what doesn't fit
    metadata = {
        "model": network.name,
        "source": {"kind": request.source} | origin.facts,
        "layout": layout,
        "truncated": network.truncated,
        "input": input.to_dict(),
        "notes": notes,
        "licence": origin.licence,
        "spdx": origin.spdx,
        "versions": {"unitmean": __version__, "torch": torch.__version__},
        "code": code_of(request.model),
    }
    return Fetched(state_dict, metadata, origin.path if origin.downloaded else None)


def choose_input(setting: str, implied: Input | None, layout: str) -> Input:
    """The input that `weights.input` stands for, given what the source or the file itself implies."""
    if setting == "auto":
        if implied is None:
            raise WeightsError(
                f"weights of {described(layout)} don't say which pixels they were trained on, as "
                "weights.input=auto needs; give weights.input=caffe (BGR in 0..255 less the mean: Gatys' "
                "VGG), "
                "weights.input=torchvision (RGB less ImageNet's mean, divided by its std) or "
                "weights.input=unit (RGB in [0, 1])"
            )
        return implied
    if setting not in INPUTS:
        raise ConfigError(f"weights.input must be auto, {' or '.join(INPUTS)}; found {setting!r}")
    if layout == "adain" and INPUTS[setting] != implied:
        raise WeightsError(
            f"weights.input={setting} contradicts the file, whose first convolution makes {implied!r}; "
            "use weights.input=auto"
        )
    return INPUTS[setting]
