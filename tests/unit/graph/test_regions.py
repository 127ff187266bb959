"""Parts of a forward method under settings of their own, and branches."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from unit.graph.chains import change, randomised

import unitmean
from unitmean.graph.analysis import analyse
from unitmean.graph.variables import ONE


class Inside(nn.Module):
    """Two rectifiers, the second in `body`, which is given the module and the first one's activations."""

    second: Callable[[Tensor], Tensor]

    def __init__(self, body: Callable[["Inside", Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.last, self.body = nn.Conv2d(6, 4, 1), body

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.body(self, self.first(x).relu()))
        return found


def without_autocast(module: Inside, x: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return module.second(x).relu_()


def with_autocast(module: Inside, x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = module.second(x).relu()
    return x.to(module.last.weight.dtype)


def without_gradient(module: Inside, x: Tensor) -> Tensor:
    with torch.no_grad():
        return module.second(x).relu()


def within_each_other(module: Inside, x: Tensor) -> Tensor:
    with torch.no_grad():
        y = 2 * x
        with torch.autocast("cpu", enabled=False):
            z = module.second(y)
    return z.relu()


def with_two_results(module: Inside, x: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        a, b = module.second(x).relu(), x + 0.0
    return a * 0.5 + torch.zeros_like(b)


def by_branches(module: Inside, x: Tensor) -> Tensor:
    found: Tensor = torch.cond(
        x.sum() > 0, lambda y: module.second(y).relu(), lambda y: module.second(y) * 2, (x,)
    )
    return found


@pytest.mark.parametrize(
    "body", [without_autocast, without_gradient, within_each_other, with_two_results, with_autocast]
)
def test_a_region_is_followed(body: Callable[[Inside, Tensor], Tensor]) -> None:
    module = randomised(Inside(body), 0).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    plan = analyse(module, x)
    assert [len(site.variables) for site in plan.sites] == [6, 6]
    assert all((site.variables != ONE).all() for site in plan.sites)
    assert change(module, x, plan) <= 1e-12


@pytest.mark.parametrize("body", [without_autocast, with_autocast, within_each_other])
def test_it_is_measured_and_proved(body: Callable[[Inside, Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    module, batches = Inside(body).eval(), [torch.rand(4, 3, 12, 12) for _ in range(2)]
    result = unitmean.normalise(module, batches)
    assert unitmean.verify(module, result.state, batches, result)


def test_what_a_branch_reads_stays() -> None:
    module = randomised(Inside(by_branches), 0).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    plan = analyse(module, x)
    assert change(module, x, plan) <= 1e-12
    assert all((site.variables == ONE).all() for site in plan.sites if site.name.startswith("relu"))
