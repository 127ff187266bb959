"""Style transfer as in Gatys, Ecker and Bethge, CVPR 2016: change a picture until its losses are small."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from unitmean.style.descent import adam, lbfgs, objective
from unitmean.style.losses import Features, Losses, LossWeights, Parts, Picture, Style, parts_of, values

OnStep = Callable[[int, Losses, Tensor], None]


@dataclass(frozen=True)
class Descent:
    """How a picture is changed: `steps` at each of `scales` sizes, each twice the last, from `init`.

    Adam moves a pixel by about `rate` of its range in each step. `noise` is the share of noise, drawn from
    `seed`, in the first picture; it is 1 where `init` is "noise".
    """

    steps: int
    optimiser: Literal["lbfgs", "adam"] = "lbfgs"
    init: Literal["content", "style", "noise"] = "content"
    scales: int = 1
    rate: float = 0.02
    seed: int = 0
    noise: float = 0.0


@dataclass(frozen=True)
class Stylised:
    """The picture, in [0, 1], and its losses from the start (step 0) to the end, scale after scale.

    `sides` are the longer sides in pixels that the picture had at each of `losses`. `start` are the losses of
    the start picture at the picture's own size: losses at different sizes can't be compared. With one scale
    they are the first of `losses`.
    """

    picture: Picture
    losses: Sequence[Losses]
    sides: Sequence[int]
    start: Losses

    @property
    def decrease(self) -> float:
        """1 - last/start: the fraction by which the loss fell; NaN unless that at the start is positive."""
        first, last = self.start.total, self.losses[-1].total
        return 1 - last / first if first > 0 else float("nan")


def stylise(
    features: Features,
    content: Picture,
    style: Picture | Sequence[Style],
    *,
    weights: LossWeights,
    descent: Descent,
    on_step: OnStep = lambda step, losses, picture: None,
) -> Stylised:
    """Change a picture until its Gram matrices are the style picture's, and its content the content's.

    `features` maps a picture in [0, 1] to activations by layer. Stops early where no step lowers the loss or
    a loss is not finite. `on_step` is called with a step's number, counted from 0 over all scales, its losses
    and its picture.
    """
    styles = [Style(style)] if isinstance(style, Tensor) else list(style)
    history: list[Losses] = []
    sides: list[int] = []
    picture: Tensor | None = None
    parts: Parts | None = None
    for octave in reversed(range(descent.scales)):
        small_content, small_styles = halved(content, octave), [smaller(s, octave) for s in styles]
        start = _start(descent, small_content, small_styles[0].picture) if picture is None else picture
        # The authors enlarge a result and go on from there, too: "hr" in their notebook.
        start = _resized(start, small_content.shape[2:])
        parts = parts_of(features, small_content, small_styles, weights)
        at = objective(parts)
        path = lbfgs(at, start) if descent.optimiser == "lbfgs" else adam(at, start, descent.rate)
        for point in islice(path, descent.steps + 1):
            on_step(len(history), point.losses, point.picture)
            history.append(point.losses)
            sides.append(max(point.picture.shape[2:]))
            picture = point.picture.clamp(0, 1)
    assert picture is not None and parts is not None
    if descent.scales == 1:
        return Stylised(picture, history, sides, history[0])
    with torch.no_grad():  # the last size is the picture's own
        whole = values(*parts(_start(descent, content, styles[0].picture)))
    return Stylised(picture, history, sides, whole)


def _start(descent: Descent, content: Tensor, style: Tensor) -> Tensor:
    start = content
    if descent.init == "style":
        start = _resized(style, content.shape[2:])
    share = 1.0 if descent.init == "noise" else descent.noise
    if not share:
        return start
    # Drawn on the CPU, so that a seed means the same picture everywhere.
    noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(descent.seed))
    return torch.lerp(start, noise.to(content.device), share)


def smaller(style: Style, octave: int) -> Style:
    """A style whose picture and mask are halved `octave` times."""
    mask = None if style.mask is None else halved(style.mask, octave)
    return replace(style, picture=halved(style.picture, octave), mask=mask)


def halved(picture: Tensor, octave: int) -> Tensor:
    """A picture whose sides are halved `octave` times."""
    return _resized(picture, [max(1, round(side / 2**octave)) for side in picture.shape[2:]])


def _resized(picture: Tensor, size: Sequence[int]) -> Tensor:
    if list(picture.shape[2:]) == list(size):
        return picture
    return interpolate(picture, size=list(size), mode="bicubic", antialias=True).clamp(0, 1)
