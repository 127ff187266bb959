"""Ways down a loss: a point, and the points behind it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unitmean.core.style import Losses, Parts, values

# By how much L-BFGS's first step changes a pixel on average, before there is a curvature to tell.
FIRST = 0.01
# How often a step that doesn't lead down is halved before there is said to be no way down.
HALVINGS = 14


@dataclass(frozen=True)
class Point:
    """A picture, its losses, and their sum with its gradient, both relative to the first loss."""

    picture: Tensor
    losses: Losses
    value: float
    gradient: Tensor

    @property
    def steep(self) -> bool:
        """Whether the loss is finite, and its gradient too and not zero."""
        size = self.gradient.abs().sum()
        return bool(abs(self.value) < float("inf") and size.isfinite() and size > 0)


Objective = Callable[[Tensor], Point]


def objective(parts: Parts) -> Objective:
    """The losses of a picture, in units of those that are asked for first."""
    # Gatys et al. do not do this: relative to the first loss float32 gradients and Adam's epsilon mean the
    # same whatever the network's scale.
    unit: Tensor | None = None

    def at(picture: Tensor) -> Point:
        nonlocal unit
        picture = picture.detach().clone().requires_grad_()
        content, style = parts(picture)
        total = content + sum(style.values())
        if unit is None:
            unit = total.detach() if total > 0 else torch.ones_like(total)
        value = total / unit
        (gradient,) = torch.autograd.grad(value, picture)
        return Point(picture.detach(), values(content, style), value.item(), gradient)

    return at


def lbfgs(at: Objective, start: Tensor) -> Iterator[Point]:
    """Limited-memory BFGS: every point's loss is below the last one's; ends where there is no way down.

    An iteration tries the full step first, which costs one evaluation where it leads down, as it nearly
    always does.
    """
    # Gatys et al. take the full step wherever it leads: on badly scaled weights it runs off to NaN.
    picture = start.detach().clone()
    optimiser = torch.optim.LBFGS([picture], max_iter=1, tolerance_grad=0, tolerance_change=0)
    point = at(picture)
    yield point
    unit, longest = point.gradient.abs().sum(), FIRST * picture.numel()
    while point.steep:
        for halving in range(HALVINGS):
            picture.copy_(point.picture)
            # In these units torch's first step has the length that the rate says.
            picture.grad = point.gradient / unit
            optimiser.param_groups[0]["lr"] = longest / 2**halving
            optimiser.step(lambda: point.value)  # noqa: B023
            tried = at(picture)
            if tried.steep and tried.value < point.value:
                break
        else:
            return
        point, longest = tried, 1.0
        yield point


def adam(at: Objective, start: Tensor, rate: float) -> Iterator[Point]:
    """Adam with pixels kept within [0, 1]; ends where the loss stays the same or isn't finite."""
    picture = start.detach().clone()
    optimiser = torch.optim.Adam([picture], lr=rate)
    point = at(picture)
    yield point
    while point.steep:
        picture.grad = point.gradient
        optimiser.step()
        picture.clamp_(0, 1)  # beyond, the clipped picture has no gradient
        last, point = point, at(picture)
        if point.losses == last.losses:
            return
        yield point
