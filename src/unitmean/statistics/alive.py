"""Which channels can be divided by their statistic."""

from jaxtyping import Bool, Float64
from torch import Tensor

from unitmean.statistics.statistic import LEAST


def alive(
    value: Float64[Tensor, " channels"],
    mean: Float64[Tensor, " channels"],
    standard_error: Float64[Tensor, " channels"],
    active_fraction: Float64[Tensor, " channels"],
    *,
    min_active_fraction: float,
    max_relative_error: float,
) -> Bool[Tensor, " channels"]:
    """Which channels can be divided by `value`, their statistic that is to be one: it is positive, and known.

    A channel lives if it is active often enough and its mean positive, finite and known well enough; a
    negative mean, as behind a leaky rectifier, is never that of a dead channel, however uncertain.
    A mean below 1.1e-19, as behind a gate that is all but closed, is as good as zero. One whose relative
    standard error exceeds `max_relative_error` rests on an image or two: dividing by it would blow up a
    channel that is nearly dead. A single image has no standard error (NaN).
    """
    known = ~(standard_error > max_relative_error * mean)
    living = (active_fraction >= min_active_fraction) & (mean > LEAST) & mean.isfinite() & known
    return (value > 0) & value.isfinite() & (living | (mean < 0))
