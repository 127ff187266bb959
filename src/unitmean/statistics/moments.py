"""Sums over images from which a channel's statistics follow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from unitmean.statistics.histogram import per_image_counts
from unitmean.statistics.statistic import Summary


def per_image(activation: Float[Tensor, "n ..."], dim: int) -> Float[Tensor, "4 n channels"]:
    """Mean, mean square, maximum and active fraction over positions, of each image and channel.

    A channel is active where it is above zero. Activations of less than 32 bits are summed in float32.
    """
    over = [d for d in range(1, activation.ndim) if d != dim]
    if not over or activation.dtype.itemsize < 4:
        return per_image_at_once(activation, dim) if not over else _per_narrow_image(activation, over)
    squares, active = [], []
    # Image by image into one buffer: new memory for each would take longer than the arithmetic.
    scratch = torch.empty_like(activation[0])
    within = [d - 1 for d in over]
    for image in activation:
        squares.append(torch.mul(image, image, out=scratch).mean(within))
        active.append(torch.gt(image, 0, out=scratch).mean(within))
    return torch.stack(
        (activation.mean(over), torch.stack(squares), activation.amax(over), torch.stack(active))
    )


def with_counts(reduction: Callable[[Tensor, int], Tensor]) -> Callable[[Tensor, int], Tensor]:
    """A reduction that gives what `reduction` gives, and after it the counts of `per_image_counts`."""

    def counting(activation: Float[Tensor, "n ..."], dim: int) -> Float[Tensor, "_ n channels"]:
        return torch.cat((reduction(activation, dim), per_image_counts(activation, dim)))

    return counting


def per_image_at_once(activation: Float[Tensor, "n ..."], dim: int) -> Float[Tensor, "4 n channels"]:
    """`per_image` without a loop or a buffer, for compilers, which fuse it, and for GPUs."""
    over = [d for d in range(1, activation.ndim) if d != dim]
    wide = activation.float() if activation.dtype.itemsize < 4 else activation
    active = (wide > 0).to(wide.dtype)
    if not over:
        return torch.stack((wide, wide.square(), wide, active))
    return torch.stack((wide.mean(over), wide.square().mean(over), wide.amax(over), active.mean(over)))


def _per_narrow_image(activation: Float[Tensor, "n ..."], over: list[int]) -> Float[Tensor, "4 n channels"]:
    within = [d - 1 for d in over]
    wide, scratch = (torch.empty_like(activation[0], dtype=torch.float32) for _ in range(2))
    rows = []
    for image in activation:
        wide.copy_(image)
        rows.append(
            torch.stack(
                (
                    wide.mean(within),
                    torch.mul(wide, wide, out=scratch).mean(within),
                    wide.amax(within),
                    torch.gt(wide, 0, out=scratch).mean(within),
                )
            )
        )
    return torch.stack(rows, dim=1)


@dataclass(frozen=True)
class Moments:
    """Sums over images of per-image statistics of one site's channels, in float64; a monoid under `+`.

    An image counts once whatever its size. With m the mean over an image's positions, `mean` sums m,
    `mean_square` m², `square` the mean of squares, `active` the active fraction. `histogram` counts positions
    by the buckets of statistics/histogram.py; it has no buckets where it wasn't asked for.
    """

    images: int
    mean: Float64[Tensor, " channels"]
    mean_square: Float64[Tensor, " channels"]
    square: Float64[Tensor, " channels"]
    maximum: Float64[Tensor, " channels"]
    active: Float64[Tensor, " channels"]
    histogram: Float64[Tensor, "channels _"]

    @classmethod
    def of(cls, statistics: Float[Tensor, "_ n channels"]) -> "Moments":
        """The moments of a batch, from what `per_image` returns, alone or `with_counts`."""
        mean, square, maximum, active, *counts = statistics.double()
        return cls(
            len(mean),
            mean.sum(0),
            mean.square().sum(0),
            square.sum(0),
            maximum.amax(0),
            active.sum(0),
            torch.stack([count.sum(0) for count in counts], 1) if counts else mean.new_empty(len(mean.T), 0),
        )

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.images + other.images,
            self.mean + other.mean,
            self.mean_square + other.mean_square,
            self.square + other.square,
            torch.maximum(self.maximum, other.maximum),
            self.active + other.active,
            self.histogram + other.histogram,
        )

    def scaled(self, factor: Float64[Tensor, " channels"]) -> "Moments":
        """The moments of activations multiplied by a positive factor a channel; without a histogram."""
        return Moments(
            self.images,
            self.mean * factor,
            self.mean_square * factor.square(),
            self.square * factor.square(),
            self.maximum * factor,
            self.active,
            self.histogram[:, :0],
        )

    def split(self, sizes: Sequence[int]) -> list["Moments"]:
        """The moments of consecutive runs of channels, of these sizes."""
        sums = (self.mean, self.mean_square, self.square, self.maximum, self.active, self.histogram)
        return [
            Moments(self.images, *parts) for parts in zip(*(s.split(list(sizes)) for s in sums), strict=True)
        ]

    def to(self, device: str) -> "Moments":
        """A copy on another device."""
        return self.on(lambda value: value.to(device))

    def on(self, moved: Callable[[Tensor], Tensor]) -> "Moments":
        """A copy with `moved` applied to each tensor."""
        sums = (self.mean, self.mean_square, self.square, self.maximum, self.active, self.histogram)
        return Moments(self.images, *map(moved, sums))

    def expectation(self) -> Float64[Tensor, " channels"]:
        """The mean activation over images and positions."""
        return self.mean / self.images

    def standard_error(self) -> Float64[Tensor, " channels"]:
        """The standard error of the expectation, images being independent draws; NaN for a single image."""
        if self.images < 2:
            return torch.full_like(self.mean, torch.nan)
        variance = self.mean_square / self.images - self.expectation().square()
        return (variance.clamp_min(0) / (self.images - 1)).sqrt()

    def deviation(self) -> Float64[Tensor, " channels"]:
        """The standard deviation over images and positions."""
        return (self.square / self.images - self.expectation().square()).clamp_min(0).sqrt()

    def summary(self) -> Summary:
        """What statistics are computed from."""
        return Summary(self.expectation(), self.deviation(), self.maximum, self.histogram)

    def active_fraction(self) -> Float64[Tensor, " channels"]:
        """The share of positions at which the channel is above zero."""
        return self.active / self.images


Statistics = dict[str, Moments]
"""The moments of each site, by its path."""


def total(moments: Sequence[Moments]) -> Moments:
    """The sum of one or more moments."""
    return reduce(add, moments)
