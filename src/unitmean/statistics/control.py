"""The error of a fast measurement, from a precise one of the same images."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from unitmean.statistics.moments import Moments

# A control mean that rests on an image or two says nothing about other images.
MAX_RELATIVE_ERROR = 0.5
# Rounding doesn't halve or double a mean: with a larger ratio the means are too small to be trusted.
MAX_RATIO = 2.0


@dataclass(frozen=True)
class Control:
    """One site's moments over the same images, precise and fast."""

    precise: Moments
    fast: Moments

    def __add__(self, other: "Control") -> "Control":
        return Control(self.precise + other.precise, self.fast + other.fast)

    @cached_property
    def _quotient(self) -> Float64[Tensor, " channels"]:
        return self.precise.mean / self.fast.mean

    @cached_property
    def steady(self) -> Bool[Tensor, " channels"]:
        """Channels whose precise means are large and steady enough to be compared with."""
        known = self.precise.standard_error() <= MAX_RELATIVE_ERROR * self.precise.expectation()
        return (self.precise.mean > 0) & known

    @cached_property
    def known(self) -> Bool[Tensor, " channels"]:
        """Steady channels whose fast mean is near enough to be corrected."""
        near = (self._quotient < MAX_RATIO) & (self._quotient > 1 / MAX_RATIO)
        return self.steady & (self.fast.mean > 0) & near

    @cached_property
    def ratio(self) -> Float64[Tensor, " channels"]:
        """Precise over fast mean: what a fast mean is to be multiplied by; one where it isn't known."""
        return torch.where(self.known, self._quotient, 1.0)

    def error(self, factor: Float64[Tensor, " channels"] | None = None) -> Float64[Tensor, " _"]:
        """Relative errors of the steady channels' fast means, once multiplied by a factor."""
        mean = self.fast.mean if factor is None else self.fast.mean * factor
        return (mean / self.precise.mean - 1).abs()[self.steady]


def trust(halves: Sequence[Control]) -> float:
    """Which part of a site's ratios is a bias of the fast precision, from 0 (all is chance) to 1.

    The logarithm of a channel's ratio is bias plus chance. On two halves of the images the bias is the same
    and chance is not. So the product of both halves' logarithms, summed over channels, estimates the squared
    bias; the square of their mean, summed likewise, holds the squared chance as well. The result is the
    quotient of these sums, and 0 where there are not two halves.
    """
    if len(halves) < 2:
        return 0.0
    first, second = (half.ratio[halves[0].known & halves[1].known].log() for half in halves)
    both = ((first + second) / 2).square().sum()
    return float(((first * second).sum() / both).clamp(0, 1)) if both > 0 else 0.0
