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


EDGES = (torch.rand(SIZE**2, SIZE**2, generator=torch.Generator().manual_seed(0)) < 0.1).double()

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
    "at the largest": lambda x: x.gather(2, x.argmax(2, keepdim=True)),
    "rows looked up": lambda x: x[:, :, places(x)],
    "rows and columns looked up": lambda x: x[:, :, places(x)[:, None], places(x)],
    "images looked up": lambda x: x[x[:, 0].amax((1, 2)).argsort()],
    "rows selected": lambda x: x.index_select(2, places(x)),
    "masked positions": lambda x: x.masked_fill(~mask(x), 0.0),
    "positions looked up": lambda x: x.movedim(1, 3)[mask(x)[:, 0]].mean(0).expand(2, 1, 1, C).movedim(3, 1),
    "rows added": lambda x: torch.zeros_like(x).index_add(2, places(x), x),
    "rows added to rows": lambda x: x.index_add(2, places(x), x.flip(2), alpha=2),
    "rows exchanged": lambda x: x.index_copy(2, places(x), x.flip(2)),
    "mean of rows": lambda x: x.index_reduce(2, places(x), x, "mean"),
    "rows erased": lambda x: x.index_fill(2, places(x), 0.0),
    "scattered": lambda x: torch.zeros_like(x).scatter_add(3, x.argsort(3), x),
    "scattered into more": lambda x: torch.zeros(2, C, 9, 9).double().scatter(3, x.argsort(3), x),
    "a part scattered": lambda x: x.scatter(2, x.argsort(2)[:, :, :2, :3], x.flip(2)),
    "zero scattered": lambda x: x.scatter(2, x.argsort(2)[:, :, :2], 0.0),
    "largest there": lambda x: x.scatter_reduce(2, x.argsort(2), x, "amax", include_self=False),
    "rows put": lambda x: with_rows(x, x.flip(2)),
    "columns and rows put": lambda x: with_rows(x.mT, x.roll(1, 2)).mT,
    "zeros put": lambda x: x.index_put((mask(x).expand_as(x),), torch.zeros(()).double()),
    "patches and back": lambda x: F.fold(F.unfold(x, 2, stride=2), (6, 6), 2, stride=2),
    "patches over one another": lambda x: F.fold(F.unfold(x[0], 3), (6, 6), 3)[None],
    "rows repeated": lambda x: x.repeat_interleave(torch.tensor([0, 1, 2, 1, 1, 1]), 2),
    "beside nothing": lambda x: torch.cat((torch.empty(0).to(x.dtype), x), 1),
    "zeroed": lambda x: x + x.clone().zero_(),
    "edges of a graph": lambda x: (EDGES @ x.flatten(2).mT).mT.view_as(x),
}


def places(x: Tensor) -> Tensor:
    """As many whole numbers as there are rows, which depend on the input."""
    return x[0, 0].argmax(1)


def with_rows(x: Tensor, rows: Tensor) -> Tensor:
    """Rows in the place of others."""
    found = x.clone()
    found[:, :, places(x)] = rows
    return found


def mask(x: Tensor) -> Tensor:
    """Of each image the positions that some channel makes active."""
    return (x > 0).any(1, keepdim=True)


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
    "a product of rows": lambda x: x.scatter_reduce(2, x.argsort(2), x, "prod"),
    "ones scattered": lambda x: x.scatter(2, x.argsort(2)[:, :, :2], 1.0),
    "rows of ones": lambda x: x.index_fill(2, places(x), 1.0),
    "ones added": lambda x: x.index_add(2, places(x), torch.ones_like(x)),
    "ones put": lambda x: x.index_put((torch.tensor([0]),), torch.ones(()).double()),
    "the largest of one": lambda x: x * x.mean().max(0).values,
    "dropout with its mask": lambda x: torch.native_dropout(x, 0.5, False)[0],
    "memory as it lies": lambda x: x.contiguous().as_strided((2, C, SIZE), (1, SIZE, 1)).unsqueeze(3),
}


@pytest.mark.parametrize("name", MODES)
def test_an_unusual_argument_makes_an_operator_unknown(name: str) -> None:
    assert free(plan_of(MODES[name]).sites[0]) == 0


# What mixes channels, so that they share a factor.
MIXED: dict[str, Callable[[Tensor], Tensor]] = {
    "channels in order": lambda x: x.gather(1, x.argsort(1)),
    "channels looked up": lambda x: x[:, places(x)[:C] % C],
    "channels added": lambda x: torch.zeros_like(x).index_add(1, places(x)[:C] % C, x),
    "channels put": lambda x: x.index_put((torch.tensor([0]), torch.tensor([2])), x[:1, 1]),
    "channels of patches": lambda x: F.fold(x.flatten(2), (7, 7), 2)[:, :, :6, :6].expand(2, C, 6, 6),
}


@pytest.mark.parametrize("name", MIXED)
def test_mixed_channels_share_a_factor(name: str) -> None:
    assert free(plan_of(MIXED[name]).sites[0]) == 1


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
