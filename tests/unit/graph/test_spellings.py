"""Every spelling of the random networks by itself: its output, its rectifier, its freedom."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from unit.graph.chains import change, free, image, randomised
from unit.graph.spellings import RECTIFIERS, SINGLE, SIZE, C, Function

from unitmean.graph.analysis import analyse
from unitmean.graph.plan import Plan

# Blocks behind a rectified convolution that tie its channels or pin them; all others leave four factors.
TIED = {
    "weight norm": 1,
    "standardised conv": 1,
    "conv of a square": 1,
    "plus a number": 1,
    "largest beside": 1,
    **dict.fromkeys("group norm,instance norm,relu6,gelu,rounded,divided and rounded,shifted".split(","), 0),
    "turned round": 0,
    "half of zeros": 4,
    "shuffle": 4,
}


def behind(block: nn.Module) -> nn.Module:
    body = nn.Sequential(nn.Conv2d(3, C, 3, padding=1), nn.ReLU(), block, nn.Conv2d(C, 2, 1))
    return randomised(body).double()


@pytest.mark.parametrize("name", SINGLE)
def test_output_and_freedom(name: str) -> None:
    module = behind(SINGLE[name]())
    plan = analyse(module, image(SIZE).double())
    assert change(module, image(SIZE), plan) < 1e-12
    assert free(plan.sites[0]) == TIED.get(name, C)


@pytest.mark.parametrize("name", RECTIFIERS)
def test_rectifiers_are_found_in_every_spelling(name: str) -> None:
    plan = analyse(behind(RECTIFIERS[name]()), image(SIZE).double())
    assert [site.channels for site in plan.sites] == [C, C]


def plan_of(function: Callable[[Tensor], Tensor], *shapes: tuple[int, ...]) -> Plan:
    module = behind(Function(function, *shapes))
    assert change(module, image(SIZE)) < 1e-12
    return analyse(module, image(SIZE).double())


# What else is homogeneous, or only moves numbers.
FREE: dict[str, Callable[[Tensor], Tensor]] = {
    "top of positions": lambda x: x.flatten(2).topk(5, 2).values.unsqueeze(3),
    "largest of two": lambda x: torch.max(x, x.flip(3)),
    "adaptive maxima of rows": lambda x: F.adaptive_max_pool1d(x.flatten(2), 7).unsqueeze(3),
    "adaptive maxima with places": lambda x: F.adaptive_max_pool2d(x, 3, return_indices=True)[0],
    "pooled and back": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), (2, 2)),
    "antialiased": lambda x: F.interpolate(x, size=4, mode="bilinear", antialias=True),
    "sampled": lambda x: F.grid_sample(x, torch.zeros(2, 5, 5, 2, dtype=x.dtype), align_corners=False),
    "chosen channels": lambda x: x.index_select(1, torch.tensor([3, 2, 1, 0])),
    "turned": lambda x: x.rot90(1, (2, 3)),
    "broadcast": lambda x: x[:, :, :1].broadcast_to(x.shape),
    "typed as": lambda x: (x > 0).type_as(x) * x,
    "where finite": lambda x: torch.where(x.isfinite(), x, 0.0),
    "signs": lambda x: x * (x - x.mean((2, 3), keepdim=True)).sign(),
    "standard deviation": lambda x: x.std((2, 3), keepdim=True),
    "accumulated": lambda x: x.cumsum(2),
    "over the largest": lambda x: x.where(x < x.amax((2, 3), keepdim=True), 0.0),
    "minus infinity": lambda x: x.masked_fill(x < 0, float("-inf")).amax((2, 3), keepdim=True),
    "stacked": lambda x: torch.hstack((x[:, 2:], x[:, :2])),
}


@pytest.mark.parametrize("name", FREE)
def test_what_else_leaves_all_channels_free(name: str) -> None:
    assert free(plan_of(FREE[name]).sites[0]) == C


# Arguments that make a known operator another one.
MODES: dict[str, Callable[[Tensor], Tensor]] = {
    "whole numbers": lambda x: x.mean((2, 3), keepdim=True).to(torch.int32).to(x.dtype),
    "threshold": lambda x: F.threshold(x, 0.1, 0.0),
    "another bound": lambda x: F.hardtanh(x, 0.0, 5.0),
    "a norm that counts": lambda x: x + torch.linalg.vector_norm(x, 0, (2, 3), keepdim=True),
    "where above one": lambda x: torch.where(x > 1, x, 0.0),
    "filled with one": lambda x: x.masked_fill(x > 0, 1.0),
    "a number that is read": lambda x: x + x.detach().amax((1, 2, 3), keepdim=True).clamp(max=2.0),
    "memory as it lies": lambda x: x.contiguous().as_strided((2, C, SIZE), (1, SIZE, 1)).unsqueeze(3),
}


@pytest.mark.parametrize("name", MODES)
def test_an_unusual_argument_makes_an_operator_unknown(name: str) -> None:
    assert free(plan_of(MODES[name]).sites[0]) == 0


def test_a_table_of_embeddings_is_free() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.last = nn.Embedding(7, C), nn.Linear(C, 2)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.last(F.relu(self.table(x.long())))
            return found

    plan = analyse(randomised(Words()), torch.arange(6.0).view(2, 3))
    assert free(plan.sites[0]) == C
