"""Networks put together at random from the operators of the table keep their output."""

from collections.abc import Callable

import pytest
import torch
from chains import randomised
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from unitmean.graph.analysis import analyse

CHANNELS, SIZE = 4, 6
Block = Callable[[], nn.Module]


class Residual(nn.Module):
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


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.forward = function  # type: ignore[method-assign]


def shuffle(x: Tensor) -> Tensor:
    return x.view(len(x), 2, CHANNELS // 2, *x.shape[2:]).transpose(1, 2).flatten(1, 2)


C = CHANNELS
SINGLE: dict[str, Block] = {
    "conv": lambda: nn.Conv2d(C, C, 3, padding=1),
    "reflected conv": lambda: nn.Conv2d(C, C, 3, padding=1, padding_mode="reflect"),
    "grouped conv": lambda: nn.Conv2d(C, C, 3, padding=1, groups=2),
    "depthwise conv": lambda: nn.Conv2d(C, C, 3, padding=1, groups=C, bias=False),
    "transposed conv": lambda: nn.ConvTranspose2d(C, C, 3, padding=1),
    "batch norm": lambda: nn.BatchNorm2d(C),
    "group norm": lambda: nn.GroupNorm(2, C),
    "relu": nn.ReLU,
    "relu in place": lambda: nn.ReLU(inplace=True),
    "leaky relu": lambda: nn.LeakyReLU(0.1),
    "prelu": lambda: nn.PReLU(C),
    "relu6": nn.ReLU6,
    "gelu": nn.GELU,
    "max pool": lambda: nn.MaxPool2d(3, 1, 1),
    "mean pool": lambda: nn.AvgPool2d(3, 1, 1),
    "dropout": nn.Dropout,
    "shuffle": lambda: Function(shuffle),
    "flip": lambda: Function(lambda x: x.flip(1)),
    "scaled": lambda: Function(lambda x: 0.5 * x / 3),
    "shifted": lambda: Function(lambda x: x + 1.0),
    "centred": lambda: Function(lambda x: x - x.mean((2, 3), keepdim=True)),
    "resized": lambda: Function(lambda x: F.interpolate(x, scale_factor=2)[..., ::2, ::2]),
    "rolled": lambda: Function(lambda x: x.roll(1, 2)),
}
AROUND: dict[str, Callable[[nn.Module], nn.Module]] = {
    "residual": Residual,
    "gated": Gated,
    "dense": Dense,
    "product": Product,
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


def network(tree: object, shared: bool, seed: int) -> nn.Module:
    stem = nn.Conv2d(3, C, 3, padding=1)
    body, again = build(tree), nn.Conv2d(C, C, 1)
    middle = [again, nn.ReLU(), body, again] if shared else [body]
    head = [nn.ReLU(), nn.Flatten(), nn.Linear(C * SIZE * SIZE, 3)]
    return randomised(nn.Sequential(stem, nn.ReLU(), *middle, *head), seed).double()


def examples(count: int) -> settings:
    return settings(
        max_examples=count, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
    )


NETWORKS = given(tree=names, shared=st.booleans(), seed=st.integers(0, 5))


@examples(25)
@NETWORKS
def test_random_factors_leave_the_output(tree: object, shared: bool, seed: int) -> None:
    leave_the_output(tree, shared, seed)


@pytest.mark.nightly
@examples(500)
@NETWORKS
def test_random_factors_leave_the_output_of_many(tree: object, shared: bool, seed: int) -> None:
    leave_the_output(tree, shared, seed)


def leave_the_output(tree: object, shared: bool, seed: int) -> None:
    module = network(tree, shared, seed)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, SIZE, SIZE, generator=generator, dtype=torch.float64)
    plan = analyse(module, x)
    normal = torch.randn(plan.variables, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        before = module(x)
        module.load_state_dict(plan.rescale(torch.where(plan.free, (0.7 * normal).exp(), 1.0)))
        change = (module(x) - before).abs().max()
    assert change <= 1e-12 * before.abs().max()
