"""Minimises a loss by L-BFGS or Adam, as a sequence of points."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unitmean.style.curvature import Curvature
from unitmean.style.losses import Losses, Parts

# By how much L-BFGS's first step changes a pixel on average: no curvature is known yet to scale it.
FIRST = 0.003
# How often a step that doesn't lower the loss is halved before the descent ends.
HALVINGS = 14


@dataclass(frozen=True)
class Point:
    """A picture, its losses, and their sum and its gradient, both in units of the first picture's sum.

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
    """A function from a picture to its losses, in units of the total loss of the first picture it gets."""
    # Gatys et al. don't divide by a unit. With it, float32's range and Adam's epsilon relate to gradients in
    # the same way whatever the network's scale.
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
        # One transfer to the host for each evaluation: on a GPU each waits for all work queued before it.
        found = [content, *style.values(), roughness, value, gradient.abs().sum()]
        of_content, *of_style, rough, relative, slope = torch.stack(
            [f.detach().double() for f in found]
        ).tolist()
        losses = Losses(of_content, dict(zip(style, of_style, strict=True)), rough)
        return Point(picture.detach(), losses, relative, gradient, slope)

    return at


def lbfgs(at: Objective, start: Tensor) -> Iterator[Point]:
    """Limited-memory BFGS: each point's loss is below the one before; ends where no step lowers it.

    An iteration tries the full step first, which nearly always lowers the loss: then it takes one evaluation.
    """
    # Gatys et al. take the full step even where it raises the loss; some descents never recover from that.
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
        if torch.dot(moved.flatten(), bent.flatten()) > 0:  # else the Hessian would not be positive definite
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
        picture.clamp_(0, 1)  # outside, the gradient of the clipped picture is zero
        last, point = point, at(picture)
        if point.losses == last.losses:
            return
        yield point
