"""torchvision's architectures without any numbers in them."""

import difflib
import warnings

import torch
from torch import nn
from torchvision import models

from unitmean.errors import NetworkError

CHAIN = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d)


def skeleton(name: str) -> nn.Module:
    """The architecture on the meta device, in eval mode, every operation out of place.

    Raises NetworkError for a name that torchvision's classification models don't have.
    """
    known = models.list_models(module=models)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=5, cutoff=0.4) or ["vgg19", "vgg16", "alexnet"]
        raise NetworkError(
            f"model.name must be a classification model of torchvision; found {name!r}; "
            f"close names: {', '.join(close)}"
        )
    with torch.device("meta"), warnings.catch_warnings():
        # googlenet and inception announce another default initialisation; nothing is initialised here.
        warnings.simplefilter("ignore", FutureWarning)
        module: nn.Module = models.get_model(name, weights=None)
    for part in module.modules():
        if hasattr(part, "inplace"):
            part.inplace = False  # type: ignore[assignment]  # graphs stay free of mutation
    return module.eval().requires_grad_(False)


def is_chain(module: nn.Module) -> bool:
    """Whether the features are a sequence of convolutions, norms, rectifiers and max pools: vgg, alexnet."""
    features = getattr(module, "features", None)
    return isinstance(features, nn.Sequential) and all(isinstance(part, CHAIN) for part in features)
