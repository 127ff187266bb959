"""Ways down a loss: a point, and the points behind it."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unitmean.style.losses import Losses, Parts, values

# By how much L-BFGS's first step changes a pixel on average, before there is a curvature to tell.
FIRST = 0.003
# How often a step that doesn't lead down is halved before there is said to be no way down.
HALVINGS = 14
# Steps that L-BFGS remembers; torch's own number.
MEMORY = 100

Bend = tuple[Tensor, Tensor, float]
"""A step, how the gradient changed along it, and the product of the two, which is positive."""


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

    An iteration tries the full step first: one evaluation where it leads down, as it nearly always does.
    """
    # Gatys et al. take the full step wherever it leads; there are losses from which that doesn't come back.
    point = at(start)
    yield point
    memory: deque[Bend] = deque(maxlen=MEMORY)
    while point.steep:
        step = _newton_step(point.gradient, memory)
        for halving in range(HALVINGS):
            tried = at(point.picture + step / 2**halving)
            if tried.steep and tried.value < point.value:
                break
        else:
            return
        moved, bent = tried.picture - point.picture, tried.gradient - point.gradient
        if (along := _dot(moved, bent)) > 0:  # else the Hessian would not be positive
            memory.append((moved, bent, along))
        point = tried
        yield point


def _newton_step(gradient: Tensor, memory: Sequence[Bend]) -> Tensor:
    """Minus the gradient times the inverse Hessian that the memory tells of.

    Two loops: Nocedal and Wright, Numerical Optimization, 2nd edition, algorithm 7.4 and equation 7.20.
    """
    if not memory:
        return gradient * (-FIRST / gradient.abs().mean())
    step, parts = -gradient, []
    for moved, bent, along in reversed(memory):
        parts.append(_dot(moved, step) / along)
        step.sub_(bent, alpha=parts[-1])
    _, bent, along = memory[-1]
    step.mul_(along / _dot(bent, bent))
    for moved, bent, along in memory:
        step.add_(moved, alpha=parts.pop() - _dot(bent, step) / along)
    return step


def _dot(a: Tensor, b: Tensor) -> float:
    return torch.dot(a.flatten(), b.flatten()).item()


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
