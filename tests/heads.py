"""Weights for tests that look at a part of a network, made without the numbers of the rest."""

from collections import OrderedDict
from functools import cache

import torch
from torch import Tensor, nn

from unitmean.graph.reload import load
from unitmean.networks.seeded import badly_scaled, well_behaved
from unitmean.networks.skeleton import skeleton


def empty(name: str) -> dict[str, Tensor]:
    """All of a network's weights without memory: every tensor is one zero, expanded."""
    return {key: torch.zeros(()).expand(value.shape) for key, value in skeleton(name).state_dict().items()}


def good(name: str, last: int) -> dict[str, Tensor]:
    """Weights of the features up to index `last` that keep activations near one."""
    return well_behaved(_features(name, last), 0)


def conv2_1() -> dict[str, Tensor]:
    """VGG-11 up to conv2_1; its channels' gains spread over three orders of magnitude."""
    return dict(_conv2_1())


@cache
def _conv2_1() -> dict[str, Tensor]:
    module = _features("vgg11", 6)  # one more, or the last would be the output, which keeps its gains
    weights = well_behaved(module, 0)
    load(module, weights)
    spread = badly_scaled(module, weights, 0, 3.0)
    return {key: value for key, value in spread.items() if not key.startswith("features.6.")}


def _features(name: str, last: int) -> nn.Module:
    features = skeleton(name).get_submodule("features")
    assert isinstance(features, nn.Sequential)
    return nn.Sequential(OrderedDict(features=features[: last + 1])).eval()
