"""Style transfer as in Gatys, Ecker and Bethge, CVPR 2016: change a picture until its losses are small."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from unitmean.core.style import Features, Losses, LossWeights, Parts, Picture, parts_of, values

# Evaluations that one iteration may spend; torch's own default for a line search.
LINE_SEARCH = 25

OnStep = Callable[[int, Losses, Tensor], None]


@dataclass(frozen=True)
class Descent:
    """How a picture is changed: `steps` at each of `scales` sizes, each twice the last, from `init`.

    Adam moves a pixel by about `rate` of its range a step. `seed` makes the noise.
    """

    steps: int
    optimiser: Literal["lbfgs", "adam"] = "lbfgs"
    init: Literal["content", "style", "noise"] = "content"
    scales: int = 1
    rate: float = 0.02
    seed: int = 0


@dataclass(frozen=True)
class Stylised:
    """The picture, in [0, 1], and its losses from the start (step 0) to the end, scale after scale."""

    picture: Picture
    losses: Sequence[Losses]

    @property
    def decrease(self) -> float:
        """1 - last/first: the fraction of the loss that is gone; NaN where a loss is not finite."""
        first, last = self.losses[0].total, self.losses[-1].total
        return 1 - last / first if first > 0 else float("nan")


def stylise(
    features: Features,
    content: Picture,
    style: Picture,
    *,
    weights: LossWeights,
    descent: Descent,
    on_step: OnStep = lambda step, losses, picture: None,
) -> Stylised:
    """Change a picture until its Gram matrices are the style picture's, and its content the content's.

    `features` maps a picture in [0, 1] to activations by layer. Stops early where there is no way down or a
    loss is not finite. `on_step` counts steps from 0 over all scales.
    """
    history: list[Losses] = []
    picture: Tensor | None = None
    for octave in reversed(range(descent.scales)):
        small_content, small_style = _halved(content, octave), _halved(style, octave)
        start = _start(descent, small_content, small_style) if picture is None else picture
        # The authors enlarge a result and go on from there, too: "hr" in their notebook.
        start = _resized(start, small_content.shape[2:])
        parts = parts_of(features, small_content, small_style, weights)
        before = len(history)
        result = _descend(
            parts,
            start,
            descent,
            lambda i, losses, seen, b=before: on_step(b + i, losses, seen),  # type: ignore[misc]
        )
        picture, history = result.picture, [*history, *result.losses]
    assert picture is not None
    return Stylised(picture, history)


def _start(descent: Descent, content: Tensor, style: Tensor) -> Tensor:
    if descent.init == "noise":
        return torch.rand(content.shape, generator=torch.Generator().manual_seed(descent.seed))
    return style if descent.init == "style" else content


def _halved(picture: Tensor, octave: int) -> Tensor:
    return _resized(picture, [max(1, round(side / 2**octave)) for side in picture.shape[2:]])


def _resized(picture: Tensor, size: Sequence[int]) -> Tensor:
    if list(picture.shape[2:]) == list(size):
        return picture
    return interpolate(picture, size=list(size), mode="bicubic", antialias=True).clamp(0, 1)


def _optimiser(descent: Descent, picture: Tensor) -> torch.optim.Optimizer:
    if descent.optimiser == "adam":
        return torch.optim.Adam([picture], lr=descent.rate)
    # Gatys et al. do not search along the line; without it L-BFGS runs off to NaN on badly scaled weights.
    return torch.optim.LBFGS(
        [picture],
        max_iter=1,
        max_eval=LINE_SEARCH,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,
        tolerance_change=0,
    )


def _descend(parts: Parts, start: Tensor, descent: Descent, on_step: OnStep) -> Stylised:
    picture = start.clone().requires_grad_()
    objective = _Objective(parts, picture)
    optimiser = _optimiser(descent, picture)
    objective()
    history = [objective.losses]
    on_step(0, history[0], picture.detach())
    for step in range(1, descent.steps + 1):
        if not objective.usable:
            break
        optimiser.step(objective)  # type: ignore[arg-type]  # torch's own example returns a tensor
        if descent.optimiser == "adam":  # it would leave pixels where the clipped picture has no gradient
            with torch.no_grad():
                picture.clamp_(0, 1)
        objective()
        if objective.losses == history[-1]:  # no way down: all further steps would be the same
            break
        history.append(objective.losses)
        on_step(step, objective.losses, picture.detach())
    return Stylised(picture.detach().clamp(0, 1), history)


class _Objective:
    """The loss and its gradient, remembered for the picture last seen.

    L-BFGS is stepped one iteration at a time to log losses, and each step begins by asking again for
    the loss where the last one ended.
    """

    def __init__(self, parts: Parts, picture: Tensor) -> None:
        self._parts, self._picture = parts, picture
        self._seen: Tensor | None = None
        self._first: Tensor | None = None
        self._value = torch.tensor(float("nan"))
        self.losses = Losses(float("nan"), {})

    @property
    def usable(self) -> bool:
        """Whether there is a finite loss and a finite gradient that isn't zero."""
        gradient = self._picture.grad
        return bool(
            gradient is not None
            and self._value.isfinite()
            and gradient.isfinite().all()
            and gradient.abs().max() > 0
        )

    def __call__(self) -> Tensor:
        if self._seen is None or not torch.equal(self._seen, self._picture):
            content, style = self._parts(self._picture)
            self.losses = values(content, style)
            total = content + sum(style.values())
            if self._first is None:
                self._first = total.detach()
            # Gatys et al. do not do this: relative to the first loss the optimiser's tolerances and
            # float32 gradients mean the same whatever the network's scale.
            value = total / self._first if self._first > 0 else total
            (self._picture.grad,) = torch.autograd.grad(value, self._picture)
            self._seen, self._value = self._picture.detach().clone(), value.detach()
        return self._value
