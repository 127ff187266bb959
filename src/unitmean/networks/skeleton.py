"""Architectures, torchvision's and one's own, without any numbers in them."""

import difflib
import warnings
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torchvision import models

from unitmean.errors import NetworkError
from unitmean.networks.own import own, own_skeleton

CHAIN = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d)


class _WithoutNumbers(TorchFunctionMode):
    """Parameters, which `torch.empty` makes, go to the meta device; what is computed stays as it is.

    Under `torch.device("meta")` regnet could not compute its widths, nor swin its table of positions.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        device = {"device": "meta"} if func is torch.empty else {}
        return func(*args, **(kwargs or {}) | device)


def skeleton(name: str, classes: int | None = None) -> nn.Module:
    """The architecture with its parameters on the meta device, in eval mode, every operation out of place.

    name: a classification model of torchvision, or FILE.py:NAME for one's own (see networks/own.py). classes:
    the number of torchvision's head's classes, if they aren't ImageNet's.

    Raises NetworkError for a name that torchvision's classification models don't have, and for code that
    makes no network.
    """
    module = own_skeleton(name) if own(name) else _of_torchvision(name, classes)
    for part in module.modules():
        if hasattr(part, "inplace"):
            part.inplace = False  # type: ignore[assignment]  # graphs stay free of mutation
    return module.eval().requires_grad_(False)


def _of_torchvision(name: str, classes: int | None) -> nn.Module:
    known = models.list_models(module=models)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=5, cutoff=0.4) or ["vgg19", "vgg16", "alexnet"]
        raise NetworkError(
            f"model.name must be a classification model of torchvision; found {name!r}; "
            f"close names: {', '.join(close)}; for a network of your own give model.code=FILE.py, too"
        )
    with _WithoutNumbers(), warnings.catch_warnings():
        # googlenet and inception announce another default initialisation; nothing is initialised here.
        warnings.simplefilter("ignore", FutureWarning)
        other = {} if classes is None else {"num_classes": classes}
        module: nn.Module = models.get_model(name, weights=None, **other)
    return module


def is_chain(module: nn.Module) -> bool:
    """Whether the features are a sequence of convolutions, norms, rectifiers and max pools: vgg, alexnet."""
    features = getattr(module, "features", None)
    return isinstance(features, nn.Sequential) and all(isinstance(part, CHAIN) for part in features)
