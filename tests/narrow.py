"""torchvision's networks with an eighth of their channels: the same names and layers, few weights."""

from collections.abc import Callable
from functools import wraps
from operator import attrgetter
from typing import Any

import pytest
from torch import nn
from torchvision.models._api import BUILTIN_MODELS

DIVISOR = 8
KEPT = (3, 1000)  # an image's channels and the classes


def narrow(patch: pytest.MonkeyPatch, *names: str) -> None:
    """Let torchvision build these networks narrow until `patch` is undone."""
    for name in names:
        patch.setitem(BUILTIN_MODELS, name, narrowed(BUILTIN_MODELS[name]))


def narrowed(builder: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """The builder of a network of convolutions without groups, norms and linear layers, made narrow."""

    @wraps(builder)
    def build(*args: Any, **kwargs: Any) -> nn.Module:
        module = builder(*args, **kwargs)
        for path, part in list(module.named_modules()):
            if isinstance(part, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
                module.set_submodule(path, _thin(part))
        return module

    return build


def _thin(part: nn.Conv2d | nn.Linear | nn.BatchNorm2d) -> nn.Module:
    if isinstance(part, nn.BatchNorm2d):
        return nn.BatchNorm2d(_width(part.num_features), part.eps)
    bias = part.bias is not None
    if isinstance(part, nn.Linear):
        return nn.Linear(_width(part.in_features), _width(part.out_features), bias)
    assert part.groups == 1 and part.padding_mode == "zeros"
    widths = _width(part.in_channels), _width(part.out_channels)
    shape = attrgetter("kernel_size", "stride", "padding", "dilation")(part)
    return nn.Conv2d(*widths, *shape, bias=bias)


def _width(channels: int) -> int:
    return channels if channels in KEPT else channels // DIVISOR
