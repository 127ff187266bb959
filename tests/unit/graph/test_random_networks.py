"""Networks put together at random, in all spellings, keep their outputs; none is idle without a refusal."""

import os
from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from unit.graph.chains import change, randomised
from unit.graph.spellings import CHANNELS, RECTIFIERS, SINGLE, SIZE, C

from unitmean.errors import NetworkError
from unitmean.graph.analysis import analyse
from unitmean.graph.plan import OUTPUT, Plan
from unitmean.graph.strict import only_outputs, require_whole
from unitmean.graph.variables import ONE

# How many networks, other ones each time, where somebody wants more than the same few hundred.
MANY = os.environ.get("UNITMEAN_RANDOM_NETWORKS")


class Residual(nn.Module):
    inner: Callable[[Tensor], Tensor]

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class Gated(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return x * self.inner(x).sigmoid()


class Dense(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x[:, CHANNELS // 2 :], self.inner(x)[:, : CHANNELS // 2]), 1)


class Product(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return x * self.inner(x)


class Larger(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(x, self.inner(x))


class Bounded(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return torch.clamp(x, max=self.inner(x))


class Chosen(Residual):
    """`by` is what it was last decided by."""

    by: Tensor

    def forward(self, x: Tensor) -> Tensor:
        self.by = self.inner(x)
        return torch.where(self.by > 0, x, 0)


class Precise(Residual):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            found: Tensor = self.inner(x)
        return found


class Ungraded(Residual):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = self.inner(x)
        return found


AROUND = {
    "residual": Residual,
    "gated": Gated,
    "dense": Dense,
    "product": Product,
    "larger": Larger,
    "bounded": Bounded,
    "chosen": Chosen,
    "precise": Precise,
    "ungraded": Ungraded,
}

names = st.recursive(
    st.lists(st.sampled_from(sorted(SINGLE)), min_size=1, max_size=4).map(tuple),
    lambda inner: st.lists(inner | st.tuples(st.sampled_from(sorted(AROUND)), inner), max_size=4).map(tuple),
    max_leaves=8,
)


def build(tree: object) -> nn.Module:
    """A tree of names as a module: a name in AROUND followed by a tree wraps it, a tuple is a sequence."""
    if isinstance(tree, str):
        return SINGLE[tree]()
    assert isinstance(tree, tuple)
    if len(tree) == 2 and tree[0] in AROUND:
        return AROUND[tree[0]](build(tree[1]))
    return nn.Sequential(*map(build, tree))


class Network(nn.Module):
    """A stem, a body, a head; as many outputs as asked for, of which the second is in the middle."""

    def __init__(self, tree: object, shared: bool, several: bool) -> None:
        super().__init__()
        self.stem, self.several = nn.Conv2d(3, C, 3, padding=1), several
        body, again = build(tree), nn.Conv2d(C, C, 1)
        self.middle = nn.Sequential(again, nn.ReLU(), body, again) if shared else nn.Sequential(body)
        self.head = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(C * SIZE * SIZE, 3))

    def forward(self, x: Tensor) -> object:
        middle = self.middle(self.stem(x).relu())
        return {"all": self.head(middle), "part": middle} if self.several else self.head(middle)


def count(tree: object) -> int:
    """How many rectifiers are named in the tree."""
    if isinstance(tree, str):
        return int(tree in RECTIFIERS)
    assert isinstance(tree, tuple)
    return sum(map(count, tree))


def refused(plan: Plan) -> bool:
    try:
        require_whole(plan, "strict=False")
    except NetworkError:
        return True
    return False


def examples(count: int, *, derandomize: bool = True) -> settings:
    slow = [HealthCheck.too_slow]
    return settings(
        max_examples=count, deadline=None, derandomize=derandomize, database=None, suppress_health_check=slow
    )


NETWORKS = given(tree=names, shared=st.booleans(), several=st.booleans(), seed=st.integers(0, 5))


@examples(25)
@NETWORKS
def test_random_factors_leave_the_output(tree: object, shared: bool, several: bool, seed: int) -> None:
    leave_the_output(tree, shared, several, seed)


@pytest.mark.nightly
@examples(int(MANY or 500), derandomize=MANY is None)
@NETWORKS
def test_random_factors_leave_the_output_of_many(
    tree: object, shared: bool, several: bool, seed: int
) -> None:
    leave_the_output(tree, shared, several, seed)


def decided_by_rounding(module: nn.Module, x: Tensor) -> bool:
    """Whether a choice is made by numbers that are zero but for rounding, so that rounding makes it."""
    with torch.no_grad():
        module(x)
    found = [part.by.abs() for part in module.modules() if isinstance(part, Chosen)]
    return any(bool(((by > 0) & (by < 1e-10 * by.max())).any()) for by in found if by.numel())


def leave_the_output(tree: object, shared: bool, several: bool, seed: int) -> None:
    module = randomised(Network(tree, shared, several), seed).double()
    x = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assume(not decided_by_rounding(module, x))
    plan = analyse(module, x)
    assert change(module, x, plan) <= 1e-12
    assert len(plan.sites) >= count(tree) + 2 + shared
    held = [
        reason for site in plan.sites for reason in site.reasons if reason and not reason.endswith(OUTPUT)
    ]
    idle = all(bool((site.variables == ONE).all()) for site in plan.sites)
    assert refused(plan) == bool(held)
    assert bool(only_outputs(plan)) == (idle and not held)
