"""Ways down a loss: a point, and the points behind it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unitmean.style.curvature import Curvature
from unitmean.style.losses import Losses, Parts

# By how much L-BFGS's first step changes a pixel on average, before there is a curvature to tell.
FIRST = 0.003
# How often a step that doesn't lead down is halved before there is said to be no way down.
HALVINGS = 14


@dataclass(frozen=True)
class Point:
    """A picture, its losses, and their sum with its gradient, both relative to the first loss.

    `slope` is the sum of the gradient's absolute values.
    """

    picture: Tensor
    losses: Losses
    value: float
    gradient: Tensor
    slope: float

    @property
    def steep(self) -> bool:
        """Whether the loss is finite, and its gradient too and not zero."""
        return abs(self.value) < float("inf") and 0 < self.slope < float("inf")


Objective = Callable[[Tensor], Point]


def objective(parts: Parts) -> Objective:
    """The losses of a picture, in units of those that are asked for first."""
    # Gatys et al. do not do this: relative to the first loss float32 gradients and Adam's epsilon mean the
    # same whatever the network's scale.
    unit: Tensor | None = None

    def at(picture: Tensor) -> Point:
        nonlocal unit
        picture = picture.detach().clone().requires_grad_()
        content, style, roughness = parts(picture)
        total = content + sum(style.values()) + roughness
        if unit is None:
            unit = total.detach() if total > 0 else torch.ones_like(total)
        value = total / unit
        (gradient,) = torch.autograd.grad(value, picture)
        # One trip to the host an evaluation: on a GPU each waits for all that was begun before it.
        found = [content, *style.values(), roughness, value, gradient.abs().sum()]
        of_content, *of_style, rough, relative, slope = torch.stack(
            [f.detach().double() for f in found]
        ).tolist()
        losses = Losses(of_content, dict(zip(style, of_style, strict=True)), rough)
        return Point(picture.detach(), losses, relative, gradient, slope)

    return at


def lbfgs(at: Objective, start: Tensor) -> Iterator[Point]:
    """Limited-memory BFGS: every point's loss is below the last one's; ends where there is no way down.

    An iteration tries the full step first: one evaluation where it leads down, as it nearly always does.
    """
    # Gatys et al. take the full step wherever it leads; there are losses from which that doesn't come back.
    point = at(start)
    yield point
    curvature = Curvature(start)
    while point.steep:
        step = _step(point, curvature)
        for halving in range(HALVINGS):
            tried = at(point.picture + step / 2**halving)
            if tried.steep and tried.value < point.value:
                break
        else:
            return
        moved, bent = tried.picture - point.picture, tried.gradient - point.gradient
        if torch.dot(moved.flatten(), bent.flatten()) > 0:  # else the Hessian would not be positive
            curvature.remember(moved, bent)
        point = tried
        yield point


def _step(point: Point, curvature: Curvature) -> Tensor:
    if not len(curvature):
        return point.gradient * (-FIRST * point.gradient.numel() / point.slope)
    return curvature.newton_step(point.gradient)


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
