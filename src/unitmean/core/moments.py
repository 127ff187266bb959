"""Sums over images from which a channel's statistics follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
from jaxtyping import Float, Float64
from torch import Tensor


def per_image(activation: Float[Tensor, "n ..."], dim: int) -> Float[Tensor, "4 n channels"]:
    """Mean, mean square, maximum and active fraction over positions, of each image and channel.

    A channel is active where it is above zero.
    """
    over = [d for d in range(1, activation.ndim) if d != dim]
    if not over:
        return torch.stack(
            (activation, activation.square(), activation, (activation > 0).to(activation.dtype))
        )
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


@dataclass(frozen=True)
class Moments:
    """Sums over images of per-image statistics of one site's channels, in float64; a monoid under `+`.

    An image counts once whatever its size. With m the mean over an image's positions, `mean` sums m,
    `mean_square` m², `square` the mean of squares, `active` the active fraction.
    """

    images: int
    mean: Float64[Tensor, " channels"]
    mean_square: Float64[Tensor, " channels"]
    square: Float64[Tensor, " channels"]
    maximum: Float64[Tensor, " channels"]
    active: Float64[Tensor, " channels"]

    @classmethod
    def of(cls, statistics: Float[Tensor, "4 n channels"]) -> "Moments":
        """The moments of a batch, from `per_image`."""
        mean, square, maximum, active = statistics.double()
        return cls(
            len(mean), mean.sum(0), mean.square().sum(0), square.sum(0), maximum.amax(0), active.sum(0)
        )

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.images + other.images,
            self.mean + other.mean,
            self.mean_square + other.mean_square,
            self.square + other.square,
            torch.maximum(self.maximum, other.maximum),
            self.active + other.active,
        )

    def expectation(self) -> Float64[Tensor, " channels"]:
        """The mean activation over images and positions."""
        return self.mean / self.images

    def standard_error(self) -> Float64[Tensor, " channels"]:
        """Of the expectation, with images as the independent draws; NaN for a single image."""
        if self.images < 2:
            return torch.full_like(self.mean, torch.nan)
        variance = self.mean_square / self.images - self.expectation().square()
        return (variance.clamp_min(0) / (self.images - 1)).sqrt()

    def deviation(self) -> Float64[Tensor, " channels"]:
        """The standard deviation over images and positions."""
        return (self.square / self.images - self.expectation().square()).clamp_min(0).sqrt()

    def root_mean_square(self) -> Float64[Tensor, " channels"]:
        """The root of the mean square over images and positions."""
        return (self.square / self.images).sqrt()

    def active_fraction(self) -> Float64[Tensor, " channels"]:
        """The share of positions at which the channel is above zero."""
        return self.active / self.images


def total(moments: Sequence[Moments]) -> Moments:
    """The sum of at least one."""
    return reduce(add, moments)
