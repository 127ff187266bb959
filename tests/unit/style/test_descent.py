"""Ways down, on losses whose lowest point is known."""

from collections.abc import Callable
from itertools import islice, pairwise

import pytest
import torch
from torch import Tensor

from unitmean.style.descent import HALVINGS, Point, adam, lbfgs, objective
from unitmean.style.losses import Losses

SCALES = torch.logspace(-2, 2, 12).view(1, 3, 2, 2)


class Counted:
    """A loss as an objective that counts how often it is asked."""

    def __init__(self, loss: Callable[[Tensor], Tensor]) -> None:
        self.asked = 0
        self._at = objective(lambda x: (loss(x), {}, torch.zeros(())))

    def __call__(self, picture: Tensor) -> Point:
        self.asked += 1
        return self._at(picture)


def bowl(x: Tensor) -> Tensor:
    """Ten thousand times as steep one way as another, lowest at 0.5."""
    return (SCALES * (x - 0.5).square()).sum()


def banana(x: Tensor) -> Tensor:
    """Rosenbrock's, of twelve numbers: a bent valley, lowest at one."""
    x = x.flatten()
    return (100 * (x[1:] - x[:-1].square()).square() + (1 - x[:-1]).square()).sum()


@pytest.fixture
def start() -> Tensor:
    return torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("loss", "lowest"), [(bowl, 0.5), (banana, 1.0)])
def test_lbfgs_finds_the_lowest_point_in_little_more_than_an_evaluation_each(
    start: Tensor, loss: Callable[[Tensor], Tensor], lowest: float
) -> None:
    at = Counted(loss)
    points = list(islice(lbfgs(at, start), 121))
    torch.testing.assert_close(points[-1].picture, torch.full_like(start, lowest), rtol=0, atol=1e-6)
    assert all(after.value < before.value for before, after in pairwise(points))
    taken = next(i for i, point in enumerate(points) if point.value < 1e-8)
    at = Counted(loss)
    list(islice(lbfgs(at, start), taken + 1))
    assert at.asked < 1.2 * taken


def test_full_steps_alone_run_off_wherehalved_ones_arrive(start: Tensor) -> None:
    """The usual loop's way, torch's L-BFGS without line search, as a negative control."""

    def narrow(x: Tensor) -> Tensor:
        return (1 + 1e4 * (x - 0.5).square()).sqrt().mean()  # steep, and straight but for the bottom

    picture = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([picture], max_iter=60, tolerance_change=0, tolerance_grad=0)

    def closure() -> Tensor:
        optimiser.zero_grad()
        narrow(picture).backward()
        return narrow(picture)

    optimiser.step(closure)
    assert not narrow(picture) < narrow(start)
    assert (
        list(islice(lbfgs(objective(lambda x: (narrow(x), {}, torch.zeros(()))), start), 61))[-1].losses.total
        < 1.01
    )


def test_a_step_into_what_is_no_number_ishalved(start: Tensor) -> None:
    def walled(x: Tensor) -> Tensor:
        return (-(x.sqrt() + (1 - x).sqrt()).log()).sum() + 20  # NaN outside [0, 1]

    points = list(islice(lbfgs(objective(lambda x: (walled(x), {}, torch.zeros(()))), start), 40))
    assert all(point.steep for point in points[:-1])
    torch.testing.assert_close(points[-1].picture, torch.full_like(start, 0.5), rtol=0, atol=1e-4)


def test_no_way_down_ends_it(start: Tensor) -> None:
    asked = []

    def lies(picture: Tensor) -> Point:
        asked.append(1)
        return Point(picture, Losses(0.0, {}), picture.sum().item(), -torch.ones_like(picture), 12.0)

    assert len(list(lbfgs(lies, start))) == 1
    assert len(asked) == 1 + HALVINGS


def test_what_bends_down_is_not_remembered(start: Tensor) -> None:
    """Over a hilltop's slope the Hessian is negative; a memory of it would lead up."""
    points = list(
        islice(lbfgs(objective(lambda x: (2 + x.cos().sum() / 12, {}, torch.zeros(()))), start + 0.1), 1000)
    )
    assert all(after.value < before.value for before, after in pairwise(points))
    assert points[-1].losses.total == pytest.approx(1)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_objective_is_relative_to_its_first_value(start: Tensor, scale: float) -> None:
    at = objective(lambda x: (scale * bowl(x), {}, torch.zeros(())))
    assert at(start).value == pytest.approx(1)
    torch.testing.assert_close(
        at(start).gradient, objective(lambda x: (bowl(x), {}, torch.zeros(())))(start).gradient
    )
    assert at(start).losses.total == pytest.approx(scale * bowl(start).item())


def test_adam_stays_between_black_and_white(start: Tensor) -> None:
    points = list(
        islice(adam(objective(lambda x: ((x - 2).square().sum(), {}, torch.zeros(()))), start, 0.1), 50)
    )
    assert all(0 <= point.picture.min() and point.picture.max() <= 1 for point in points)
    assert torch.equal(points[-1].picture, torch.ones_like(start))
    assert len(points) < 50  # nothing changes any more
