"""Style transfer stays on the device of the pictures, and finds there what it finds on the CPU."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from unitmean.networks.inputs import CAFFE
from unitmean.style.losses import LossWeights, parts_of
from unitmean.style.stylise import Descent, _start, halved


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.usefixtures("gpu")
def test_an_evaluation_is_the_cpus() -> None:
    found = {}
    for device in ("cpu", "cuda"):
        first, second = numbers(6, 3, 3, 3, seed=1).to(device), numbers(5, 6, 3, 3, seed=2).to(device)

        def features(x: Tensor, first: Tensor = first, second: Tensor = second) -> dict[str, Tensor]:
            a = conv2d(CAFFE.apply(x), first, padding=1).relu()
            return {"a": a, "b": conv2d(avg_pool2d(a, 2), second, padding=1).relu()}

        content, style = (numbers(1, 3, 16, 12, seed=seed).to(device) for seed in (3, 4))
        parts = parts_of(features, content, style, LossWeights("b", ["a", "b"], 1.0, 2000.0))
        starts = [
            _start(Descent(1, init=init), halved(content, 1), halved(style, 1))
            for init in ("content", "style", "noise")
        ]
        # Without a driver there are no gradients, so that only the way forward is walked.
        of_content, of_style, roughness = parts(numbers(1, 3, 16, 12, seed=5).to(device))
        found[device] = [*starts, of_content, roughness, *of_style.values()]
    assert {tensor.device.type for tensor in found["cuda"]} == {"cuda"}
    for ours, expected in zip(found["cuda"], found["cpu"], strict=True):
        torch.testing.assert_close(ours.cpu(), expected, rtol=1e-4, atol=1e-4)
