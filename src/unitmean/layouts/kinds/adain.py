"""`vgg_normalised.pth` of AdaIN and WCT: an nn.Sequential whose layer 0 maps RGB in [0, 1] to the input."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy
import torch
from torch import Tensor, nn

from unitmean.errors import WeightsError
from unitmean.layouts.kinds.torchvision import maps_pixels
from unitmean.layouts.layout import Canonical, Layout, State, convolutions, renamed, save
from unitmean.layouts.measured import averaged, reflected
from unitmean.networks.architectures import Network
from unitmean.networks.inputs import Input
from unitmean.networks.layers import layer_names
from unitmean.networks.skeleton import is_chain, skeleton

ARCHITECTURES = r"vgg\d+"
HOW = """\
The keys of `vgg_normalised.pth`: an `nn.Sequential` whose layer 0 is the preprocessing (it takes RGB in \
[0, 1]); a reflection padding precedes each 3x3 convolution, and these stand at {places}.

    vgg.load_state_dict(torch.load("{file}", weights_only=True))
{remarks}"""
AVERAGED = """\
    for place, part in enumerate(vgg):  # average pooling, as measured, in place of the program's max pooling
        if isinstance(part, torch.nn.MaxPool2d):
            vgg[place] = torch.nn.AvgPool2d(2)
"""
PADDED = """
The network was measured with zero padding: with the program's reflection padding it computes something else
near a picture's edges, and means are near one, not one. For what was measured, put
`torch.nn.ZeroPad2d(1)` in place of each `torch.nn.ReflectionPad2d(1)`.
"""
CEILED = """
Programs that pool with `ceil_mode=True` see one row more of pictures whose sides are no multiple of 16."""


def read(state: State, architecture: str) -> Canonical | None:
    if not state or not all(re.fullmatch(r"\d+\.(weight|bias)", key) for key in state):
        return None
    behind = {f"features.{key}" for key in state}
    if behind <= skeleton(architecture).state_dict().keys() and not maps_pixels(state):
        return None  # the features of a VGG alone
    if not {"0.weight", "0.bias"} <= set(state):
        raise WeightsError(
            "an AdaIN/WCT Sequential must hold its 1x1 preprocessing convolution at '0'; "
            f"found the keys {list(state)[:4]!r}; check the file"
        )
    found = _read_preprocessing(state["0.weight"], state["0.bias"])
    rest = {k: v for k, v in state.items() if not k.startswith("0.")}
    paths = {str(place): path for path, place in _places(architecture).items()}
    return Canonical(renamed(rest, paths, architecture, "AdaIN"), "adain", found)


def _read_preprocessing(weight: Tensor, bias: Tensor) -> Input:
    """The input that a 1x1 convolution on RGB in [0, 1] stands for.

    Three equal gains are read as the scale, with std one; different ones as 1 / std, with scale one: the
    usual ways to write them.
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


def misfit(network: Network) -> str | None:
    plain = re.fullmatch(ARCHITECTURES, network.architecture)
    return None if plain else f"it takes vgg without batch norm; found {network.name}"


def write(path: Path, network: Network, state: State, size: int) -> None:
    """`0.weight` maps RGB in [0, 1] to the network's input; convolutions follow at 2, 5, 9, …; no head."""
    places = _places(network.architecture)
    weight, bias = preprocessing(network.input)
    found = {f"{places[path]}.{kind}": value for (path, kind), value in convolutions(state)}
    save(path, {"0.weight": weight, "0.bias": bias} | found)


def preprocessing(input: Input) -> tuple[Tensor, Tensor]:
    """Weight (3 x 3 x 1 x 1) and bias of the convolution that computes `input.apply`.

    (scale x[order] - mean) / std is the matrix diag(scale / std), its columns in that order, less mean / std.
    The convolution stands in front of the padding, so padded numbers are the same as in the network.
    """
    std = torch.tensor(input.std, dtype=torch.float64)
    matrix = torch.diag(input.scale / std)
    if input.order == "bgr":
        matrix = matrix.flip(1)
    bias = -torch.tensor(input.mean, dtype=torch.float64) / std
    return matrix.view(3, 3, 1, 1).float(), bias.float()


def _places(architecture: str) -> dict[str, int]:
    """Module path of each convolution to its index in the Sequential: 0 preprocesses, paddings count."""
    module = skeleton(architecture)
    if not is_chain(module):
        return {}
    places, place = {}, 1
    for path, name in layer_names(architecture).items():
        if path.startswith("features."):
            place += isinstance(module.get_submodule(path), nn.Conv2d)
            if name.startswith("conv"):
                places[path] = place
            place += 1
    return places


def how(file: str, network: Network, size: int) -> str:
    places = [str(place) for path, place in _places(network.architecture).items() if path in network.layers]
    pooled, padded = averaged(network), reflected(network)
    remarks = AVERAGED * pooled + PADDED * (not padded) + CEILED * (not pooled)
    return HOW.format(file=file, places=", ".join(places), remarks=remarks).rstrip("\n")


LAYOUT = Layout(
    "adain",
    architectures=ARCHITECTURES,
    keys="AdaIN/WCT Sequential (0.weight, 2.weight)",
    read=read,
    fits="vgg without batch norm, any input, as far as it goes",
    program="AdaIN, WCT and their kin",
    misfit=misfit,
    write=write,
    how=how,
)
