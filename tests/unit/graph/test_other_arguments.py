"""Activations and stored numbers in arguments other than the first; channels along several dimensions."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from unit.graph.chains import change, free, image, randomised

import unitmean
from unitmean.graph.analysis import analyse
from unitmean.graph.rectifiers import rectifiers
from unitmean.graph.trace import trace


class Two(nn.Module):
    """What `join` makes of two convolutions, the second one rectified."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.two, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.join(self.one(x), self.two(x).relu()))
        return found


@pytest.mark.parametrize(
    "join",
    [
        lambda a, b: torch.clamp(a, max=b),
        lambda a, b: torch.clamp(a, min=0.1 * b, max=b),
        lambda a, b: torch.clamp_min(a, b),
        lambda a, b: torch.clamp_max(a, b),
        lambda a, b: a.masked_fill(a > 0, b.mean()),
    ],
)
def test_activations_as_bounds_and_fillings_keep_the_factor_one(
    join: Callable[[Tensor, Tensor], Tensor],
) -> None:
    module = randomised(Two(join)).double()
    plan = analyse(module, image().double())
    assert free(plan.sites[0]) == 0 and change(module, image(), plan) < 1e-12


class Reads(nn.Module):
    """A stored number that `use` reads as Python's own, by .item()."""

    def __init__(self, use: Callable[["Reads", Tensor, float], Tensor]) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)
        self.weight = nn.Parameter(torch.rand(4, 4, 1, 1))
        self.register_buffer("number", torch.tensor(0.3))
        self.use = use

    def forward(self, x: Tensor) -> Tensor:
        number = self.get_buffer("number").item()
        found: Tensor = self.last(self.use(self, self.first(x), number).relu())
        return found


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (lambda self, x, number: x * number, 4),
        (lambda self, x, number: x / number, 4),
        (lambda self, x, number: x + number, 0),
        (lambda self, x, number: F.leaky_relu(x, number), 4),
        (lambda self, x, number: F.conv2d(x, self.weight * number), 4),
        (lambda self, x, number: F.conv2d(x, self.weight / number), 4),
        (lambda self, x, number: F.conv2d(x, self.weight + number), 1),
    ],
)
def test_a_stored_number_may_be_read_by_item(
    use: Callable[[Reads, Tensor, float], Tensor], expected: int
) -> None:
    module = randomised(Reads(use)).double()
    plan = analyse(module, image().double())
    assert free(plan.sites[-1]) == expected and change(module, image(), plan) < 1e-12


@pytest.mark.parametrize(("use", "expected"), [
    (lambda x, number: x * number, 4),
    (lambda x, number: x.roll(number, 1), 0),
    (lambda x, number: x.select(1, number)[:, None].expand_as(x), 0),
    (lambda x, number: x.narrow(2, number, 2), 0),
    (lambda x, number: x.expand(number, *x.shape).amax(0), 4),
])  # fmt: skip
def test_a_stored_whole_number_may_say_where_channels_are(
    use: Callable[[Tensor, Any], Tensor], expected: int
) -> None:
    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)
            self.register_buffer("number", torch.tensor(3))

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x).relu()
            found: Tensor = self.last(use(x, self.get_buffer("number").item())).mean((2, 3))
            return found

    module = randomised(Placed()).double()
    plan = analyse(module, image().double())
    assert free(plan.sites[0]) == expected and change(module, image(), plan) < 1e-12


@pytest.mark.parametrize(("own", "zeros"), [((1, 4, 3, 3), (4, 1, 1, 1)), ((4, 1, 3, 3), (1, 4, 1, 1))])
def test_zeros_may_broadcast_a_weight(own: tuple[int, ...], zeros: tuple[int, ...]) -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)
            self.weight = nn.Parameter(torch.rand(own))

        def forward(self, x: Tensor) -> Tensor:
            weight = self.weight + torch.zeros(zeros, dtype=x.dtype)
            found: Tensor = self.last(F.conv2d(self.first(x).relu(), weight).relu())
            return found

    module = randomised(Wide()).double()
    plan = analyse(module, image().double())
    assert free(plan.sites[-1]) > 0 and change(module, image(), plan) < 1e-12


class Heads(nn.Module):
    """Channels along two dimensions: so many heads, and the numbers of each."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 6), nn.Linear(6, 2)

    def heads(self, x: Tensor) -> Tensor:
        found: Tensor = self.first(x).unflatten(2, (2, 3)).transpose(1, 2).relu()
        return found

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.heads(x).transpose(1, 2).flatten(2))
        return found


def test_channels_along_several_dimensions_each_have_mean_one() -> None:
    torch.manual_seed(0)
    model, x = Heads().eval(), torch.randn(8, 64, 3)
    before = model(x)
    result = unitmean.normalise(model, [x])
    assert result.plan.sites[0].shape == (1, 2, 1, 3) and not result.tied
    assert unitmean.verify(model, result.state, [x], result)
    model.load_state_dict(result.state)
    torch.testing.assert_close(model(x), before)
    torch.testing.assert_close(model.heads(x).mean((0, 2)), torch.ones(2, 3))
    wrong = dict(result.state) | {"first.bias": result.state["first.bias"] * 1.01}
    assert not unitmean.verify(model, wrong, [x], result)


def test_no_name_stands_for_two_rectifiers() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module("r", nn.ReLU())
            self.add_module("r#2", nn.ReLU())

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.get_submodule("r#2")(-self.get_submodule("r")(-self.get_submodule("r")(x)))
            return found

    assert list(rectifiers(trace(Named().eval(), image()).graph)) == ["r", "r#2", "r#2#2"]
