"""The paper's layer names (`relu3_1`) and torchvision's module paths (`features.11`)."""

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from torch import nn

from unitmean.networks.skeleton import skeleton

KINDS: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.BatchNorm2d: "bn",
    nn.ReLU: "relu",
    nn.MaxPool2d: "pool",
    nn.Linear: "fc",
}


@cache
def layer_names(architecture: str) -> Mapping[str, str]:
    """Module path to paper name, in order: `conv1_1`, `relu1_1`, `pool1` … `fc6`, `relu6`.

    vgg's names count blocks and places in them (Simonyan and Zisserman 2015), alexnet's layers; in all other
    architectures the name is the path.
    """
    module = skeleton(architecture)
    leaves = {path: part for path, part in module.named_modules() if path and not list(part.children())}
    if re.fullmatch(r"vgg\d+(_bn)?|alexnet", architecture) is None:  # one's own among them
        return MappingProxyType({path: path for path in leaves})
    in_blocks = architecture != "alexnet"
    names = {}
    layer, place = (1, 0) if in_blocks else (0, 0)
    for path, part in leaves.items():
        kind = KINDS.get(type(part))
        if kind is None:  # dropout and adaptive pooling have no name
            continue
        head = path.startswith("classifier")
        if kind == "fc" or (kind == "conv" and not in_blocks):
            layer += 1
        elif kind == "conv":
            place += 1
        names[path] = (
            f"{kind}{layer}_{place}" if in_blocks and not head and kind != "pool" else f"{kind}{layer}"
        )
        # The last pool closes the last block: the first linear layer opens the next number (fc6).
        if kind == "pool" and in_blocks and _more_convolutions(leaves, path):
            layer, place = layer + 1, 0
    return MappingProxyType(names)


def module_paths(architecture: str) -> dict[str, str]:
    """Paper name to module path."""
    return {name: path for path, name in layer_names(architecture).items()}


def _more_convolutions(leaves: Mapping[str, nn.Module], path: str) -> bool:
    paths = list(leaves)
    return any(isinstance(leaves[later], nn.Conv2d) for later in paths[paths.index(path) + 1 :])
