"""Style transfer stays on the pictures' device: walked with tensors that say they are on a GPU."""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import avg_pool2d, conv2d

from unitmean.networks.inputs import CAFFE
from unitmean.style.losses import LossWeights, parts_of
from unitmean.style.stylise import Descent, _start, halved


def test_nothing_of_an_evaluation_lies_elsewhere_than_the_picture():
    with FakeTensorMode():
        on_gpu = {"device": "cuda"}
        first, second = torch.rand(6, 3, 3, 3, **on_gpu), torch.rand(5, 6, 3, 3, **on_gpu)

        def features(x):
            a = conv2d(CAFFE.apply(x), first, padding=1).relu()
            return {"a": a, "b": conv2d(avg_pool2d(a, 2), second, padding=1).relu()}

        content, style = torch.rand(1, 3, 16, 12, **on_gpu), torch.rand(1, 3, 16, 12, **on_gpu)
        parts = parts_of(features, content, style, LossWeights("b", ["a", "b"], 1.0, 2000.0))
        for init in ("content", "style", "noise"):
            start = _start(Descent(1, init=init), halved(content, 1), halved(style, 1))
            assert start.device.type == "cuda"
        # Without a GPU autograd has no stream to run on, so that only the way forward is walked.
        of_content, of_style, roughness = parts(content.clone())
    assert {loss.device.type for loss in (of_content, roughness, *of_style.values())} == {"cuda"}
