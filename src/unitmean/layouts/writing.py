"""A network's weights under the keys of the programs that people load them with.

The inverse of `unitmean.layouts.reading`. Each function takes a network and its state dict under
torchvision's keys and returns what the other program's `load_state_dict` takes, of the same tensors.
"""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from unitmean.errors import WeightsError
from unitmean.networks.architectures import Network
from unitmean.networks.inputs import CAFFE, Input
from unitmean.networks.layers import layer_names

State = Mapping[str, Tensor]
# The convolutions of the one network that github.com/leongatys/PytorchNeuralStyleTransfer builds.
VGG19_CONVOLUTIONS = 16


def torchvision(network: Network, state: State) -> dict[str, Tensor]:
    """As it is: `features.0.weight`."""
    return dict(state)


def neural_style_pt(network: Network, state: State) -> dict[str, Tensor]:
    """torchvision's keys, of which github.com/ProGamerGov/neural-style-pt wants the classifier's too."""
    return dict(state)


def leongatys(network: Network, state: State) -> dict[str, Tensor]:
    """`conv1_1.weight` … `conv5_4.bias`, without a head."""
    return {
        f"{network.layers[path]}.{kind}": value
        for (path, kind), value in _convolutions(state)
        if path in network.layers
    }


def adain(network: Network, state: State) -> dict[str, Tensor]:
    """`0.weight` maps RGB in [0, 1] to the network's input; convolutions follow at 2, 5, 9, …; no head."""
    places = sequential_places(network)
    weight, bias = preprocessing(network.input)
    renamed = {f"{places[path]}.{kind}": value for (path, kind), value in _convolutions(state)}
    return {"0.weight": weight, "0.bias": bias} | renamed


LAYOUTS: dict[str, Callable[[Network, State], dict[str, Tensor]]] = {
    "torchvision": torchvision,
    "neural_style_pt": neural_style_pt,
    "leongatys": leongatys,
    "adain": adain,
}


def preprocessing(input: Input) -> tuple[Tensor, Tensor]:
    """Weight 3 x 3 x 1 x 1 and bias of the convolution that does what `input` does: exact for any of them.

    (scale x[order] - mean) / std is the matrix diag(scale / std), its columns in that order, less mean / std.
    It stands in front of the padding, so what is padded is the same as in the network.
    """
    std = torch.tensor(input.std, dtype=torch.float64)
    matrix = torch.diag(input.scale / std)
    if input.order == "bgr":
        matrix = matrix.flip(1)
    bias = -torch.tensor(input.mean, dtype=torch.float64) / std
    return matrix.view(3, 3, 1, 1).float(), bias.float()


def sequential_places(network: Network) -> dict[str, int]:
    """Module path to its place: 0 preprocesses, a padding layer precedes every convolution."""
    places, place = {}, 1
    for path, name in layer_names(network.name).items():
        if path.startswith("features."):
            place += name.startswith("conv")
            places[path] = place
            place += 1
    return places


def misfit(layout: str, network: Network) -> str | None:
    """Why the network can't be written in that layout, in words that end "found …", or None if it can."""
    has = "no head" if network.truncated else "a head"
    known = "Caffe's" if network.input == CAFFE else repr(network.input)
    if layout in ("torchvision", "onnx"):
        return None
    if layout == "adain":
        plain = re.fullmatch(r"vgg\d+", network.name)
        return None if plain else f"it takes vgg without batch norm; found {network.name}"
    if layout == "neural_style_pt":
        fits = network.name in ("vgg16", "vgg19") and not network.truncated and network.input == CAFFE
        return None if fits else (
            "it takes vgg16 and vgg19 with a head and Caffe's input (BGR in 0..255 less the mean); "
            f"found {network.name} with {has} and the input {known}"
        )  # fmt: skip
    count = sum(isinstance(module, nn.Conv2d) for module in network.module.modules())
    fits = network.name == "vgg19" and count == VGG19_CONVOLUTIONS and network.input == CAFFE
    return None if fits else (
        "it takes all convolutions of vgg19 with Caffe's input (BGR in 0..255 less the mean); "
        f"found {network.name} with {count} and the input {known}"
    )  # fmt: skip


def chosen(names: list[str], network: Network) -> list[str]:
    """The layouts that `rescale.exports` names, "all" being all that fit, each once.

    Raises WeightsError, naming what fits, where one doesn't.
    """
    fitting = [name for name in (*LAYOUTS, "onnx") if misfit(name, network) is None]
    for name in names:
        if name != "all" and (reason := misfit(name, network)):
            raise WeightsError(
                f"rescale.exports={name} doesn't fit: {reason}; "
                f"choose from {', '.join(fitting)}, or say all for these"
            )
    return [name for name in fitting if "all" in names or name in names]


def _convolutions(state: State) -> list[tuple[tuple[str, str], Tensor]]:
    split = [(key.rpartition("."), value) for key, value in state.items()]
    return [((path, kind), v) for (path, _, kind), v in split if path.startswith("features.")]
