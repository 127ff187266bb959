"""The layouts in which people ship weights, read into torchvision's."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy
import torch
from torch import Tensor, nn

from unitmean.errors import WeightsError
from unitmean.layouts.checkpoints import bare
from unitmean.networks.inputs import CAFFE, Input
from unitmean.networks.layers import layer_names, module_paths
from unitmean.networks.skeleton import is_chain, skeleton

LAYOUTS = (
    "torchvision (features.0.weight), AdaIN/WCT Sequential (0.weight, 2.weight), leongatys (conv1_1.weight)"
)


TIMM_HEAD = {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3", "head.fc": "classifier.6"}


class Canonical(NamedTuple):
    """Weights under torchvision's keys, the layout they came in, the input it implies (None: nothing).

    notes: what was taken off the names, and what was left out.
    """

    state_dict: dict[str, Tensor]
    layout: str
    input: Input | None
    notes: tuple[str, ...] = ()


def canonical(state_dict: Mapping[str, Tensor], architecture: str) -> Canonical:
    """Recognise the layout by its keys; tensors are shared, not copied.

    Raises WeightsError for a layout not known here and for keys the architecture has no place for.
    """
    expected = skeleton(architecture).state_dict()
    state_dict, notes = bare(state_dict, expected)
    return _recognised(state_dict, architecture, expected)._replace(notes=tuple(notes))


def _recognised(
    state_dict: Mapping[str, Tensor], architecture: str, expected: Mapping[str, Tensor]
) -> Canonical:
    if any(key in expected for key in state_dict):
        return Canonical(_torchvision(state_dict, expected), "torchvision", None)
    behind = {f"features.{key}": value for key, value in state_dict.items()}
    # Of AdaIN's Sequential the first convolution is 1 x 1: it maps pixels.
    if behind and behind.keys() <= expected.keys() and _kernel(state_dict.get("0.weight")) != (1, 1):
        return Canonical(behind, "torchvision", None)
    if state_dict and all(re.fullmatch(r"\d+\.(weight|bias)", key) for key in state_dict):
        return _adain(state_dict, architecture)
    if state_dict and all(re.fullmatch(r"(conv\d_\d|fc\d)\.(weight|bias)", key) for key in state_dict):
        # Only the network of github.com/leongatys/PytorchNeuralStyleTransfer has these keys: Caffe's VGG.
        renamed = _rename(state_dict, module_paths(architecture), architecture, "leongatys")
        return Canonical(renamed, "leongatys", CAFFE)
    raise WeightsError(
        f"weights of {architecture} must come in a layout that is read here: {LAYOUTS}; "
        f"found the keys {list(state_dict)[:4]!r}; check model.name, or rename the keys"
    )


def _torchvision(state_dict: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if "classifier.6.weight" in expected and "head.fc.weight" in state_dict:
        # timm's VGG, whose head is two convolutions and a linear layer.
        renamed = {_moved(key, TIMM_HEAD): value for key, value in state_dict.items()}
        matrices = {key for key in renamed if key.startswith("classifier.") and key.endswith(".weight")}
        return {key: value.flatten(1) if key in matrices else value for key, value in renamed.items()}
    if "classifier.0.weight" not in expected or "classifier.1.weight" not in state_dict:
        return dict(state_dict)
    # Files of early 2017 (jcjohnson/pytorch-vgg among them) count a dropout in front of each linear layer.
    old = {"classifier.1": "classifier.0", "classifier.4": "classifier.3"}
    return {_moved(key, old): value for key, value in state_dict.items()}


def _kernel(weight: Tensor | None) -> tuple[int, ...]:
    return tuple(weight.shape[2:]) if weight is not None else ()


def _adain(state_dict: Mapping[str, Tensor], architecture: str) -> Canonical:
    if not {"0.weight", "0.bias"} <= set(state_dict):
        raise WeightsError(
            "an AdaIN/WCT Sequential must hold its 1x1 preprocessing convolution at '0'; "
            f"found the keys {list(state_dict)[:4]!r}; the layouts read are {LAYOUTS}"
        )
    found = _preprocessing(state_dict["0.weight"], state_dict["0.bias"])
    convolutions = {k: v for k, v in state_dict.items() if not k.startswith("0.")}
    renamed = _rename(convolutions, _adain_paths(architecture), architecture, "AdaIN")
    return Canonical(renamed, "adain", found)


def _adain_paths(architecture: str) -> dict[str, str]:
    """Place in the Sequential to module path: 0 preprocesses, a padding layer precedes every convolution."""
    module = skeleton(architecture)
    if not is_chain(module):
        return {}
    paths, place = {}, 1
    for path, name in layer_names(architecture).items():
        if path.startswith("features."):
            place += isinstance(module.get_submodule(path), nn.Conv2d)
            if name.startswith("conv"):
                paths[str(place)] = path
            place += 1
    return paths


def _preprocessing(weight: Tensor, bias: Tensor) -> Input:
    """The input that a 1x1 convolution on RGB in [0, 1] stands for.

    One gain is read as the scale, std one; three as 1 / std, scale one: as people write them.
    """
    shown = f"the shapes {tuple(weight.shape)} and {tuple(bias.shape)}"
    if weight.shape == (3, 3, 1, 1) and bias.shape == (3,):
        matrix = weight[:, :, 0, 0].to(torch.float64)
        shown = f"the matrix {matrix.tolist()!r}"
        order = "bgr" if bool(matrix[0, 0] == 0) else "rgb"
        ordered = matrix.flip(1) if order == "bgr" else matrix
        gains = ordered.diagonal()
        if bool((gains > 0).all()) and torch.equal(ordered, gains.diag()):
            return _input(order, gains.tolist(), bias.tolist())
    raise WeightsError(
        "layer '0' of an AdaIN/WCT Sequential must be a 1x1 convolution that orders channels as RGB or BGR, "
        f"times a positive factor each, plus a bias; found {shown}; fold it by hand, use torchvision's keys"
    )


def _input(order: str, gains: list[float], offsets: list[float]) -> Input:
    scale, std = (_shortest(gains[0]), [1.0] * 3) if len(set(gains)) == 1 else (1.0, [])
    # 0.229, not 0.22900000214: the shortest decimals that make the file's float32 numbers.
    std = std or [_decimal(1 / gain, gain, lambda s: 1 / s) for gain in gains]
    mean = [
        _decimal(-offset * s, offset, lambda m, s=s: -m / s)  # type: ignore[misc]
        for s, offset in zip(std, offsets, strict=True)
    ]
    return Input(order, scale, tuple(mean), tuple(std))  # type: ignore[arg-type]


def _decimal(near: float, value: float, function: Callable[[float], float]) -> float:
    """The shortest decimal near `near` whose `function` is the float32 `value`; else `near` itself."""
    for digits in range(1, 18):
        candidate = float(f"{near:.{digits}g}")
        if candidate == near or float(numpy.float32(function(candidate))) == value:
            return candidate
    return near


def _shortest(value: float) -> float:
    """The shortest decimal that is the same float32: 103.939, not 103.93900299."""
    return float(str(numpy.float32(value)))


def _rename(
    state_dict: Mapping[str, Tensor], paths: Mapping[str, str], architecture: str, layout: str
) -> dict[str, Tensor]:
    if strange := [key for key in state_dict if key.rpartition(".")[0] not in paths]:
        raise WeightsError(
            f"weights in the {layout} layout must fit {architecture}, whose layers are {list(paths)!r}; "
            f"found {strange[:4]!r}; check model.name"
        )
    return {_moved(key, paths): value for key, value in state_dict.items()}


def _moved(key: str, paths: Mapping[str, str]) -> str:
    layer, _, kind = key.rpartition(".")
    return f"{paths.get(layer, layer)}.{kind}"
