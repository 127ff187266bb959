"""Too many channels without a factor of their own stop the run, and the reason decides on the remedy."""

import pytest
import torch
from heads import good

from unitmean.errors import InvarianceError
from unitmean.networks.architectures import build
from unitmean.networks.inputs import CAFFE
from unitmean.pipeline.rescale.statistics import require_alive

NETWORK = build("vgg11", good("vgg11", 6), input=CAFFE)


def require(targets: list[float], most: float = 0.25) -> None:
    target = {"features.1": torch.tensor(targets).double(), "features.4": torch.ones(4).double()}
    require_alive(NETWORK, {site: values > 0 for site, values in target.items()}, target, most, "mean")


def test_as_many_as_allowed_are_left_out() -> None:
    require([0.0, -1.0, 1.0, 1.0])  # two of eight; whether they are pinned doesn't matter


def test_more_are_refused_with_what_helps() -> None:
    with pytest.raises(InvarianceError, match=r"2 dead and 1 negative of 8, .*relu1_1 \(3\): measure more"):
        require([0.0, 0.0, -1.0, 1.0])
    with pytest.raises(InvarianceError, match=r"1 dead and 2 negative of 8, .*: choose .*statistic=rms"):
        require([0.0, -1.0, -1.0, 1.0])
