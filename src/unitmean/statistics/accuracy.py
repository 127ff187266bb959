"""How well means are known."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from unitmean.statistics.moments import Moments


@dataclass(frozen=True)
class Accuracy:
    """Relative standard errors of the means of all channels that have been active; infinite for one image.

    at_share: the error that the requested share of the channels stays below. share: the share of channels
    whose error is within the target; None where there is no target.
    """

    images: int
    channels: int
    median: float
    at_share: float
    worst: float
    share: float | None


def relative_errors(moments: Iterable[Moments]) -> Float64[Tensor, " channels"]:
    """Standard error over mean, of the channels with a positive mean."""
    errors = torch.cat([m.standard_error() / m.expectation() for m in moments])
    positive = torch.cat([m.mean > 0 for m in moments])
    return errors[positive].nan_to_num(nan=torch.inf)


def accuracy(moments: Iterable[Moments], target: float | None, share: float) -> Accuracy:
    """The accuracy of one network's means after some images."""
    moments = list(moments)
    errors = relative_errors(moments).sort().values
    count = len(errors)
    if count == 0:
        return Accuracy(
            moments[0].images, 0, torch.inf, torch.inf, torch.inf, None if target is None else 0.0
        )

    def below(part: float) -> float:
        """The error that this part of the channels, rounded up to a whole channel, stays below."""
        return float(errors[max(0, -int(-part * count // 1) - 1)])

    reached = None if target is None else float((errors <= target).sum()) / count
    return Accuracy(moments[0].images, count, below(0.5), below(share), float(errors[-1]), reached)
