"""The value below which a share of a channel's positions lies."""

from typing import TYPE_CHECKING

from unitmean.statistics.statistic import Statistic, Summary

if TYPE_CHECKING:
    from torch import Tensor


def _quantile(summary: Summary, share: float) -> "Tensor":
    from unitmean.statistics.histogram import quantile

    return quantile(summary.histogram, share, summary.maximum)


STATISTIC = Statistic(
    "quantile", of=_quantile, called=lambda share: f"{100 * share:g}% quantile", counted=True, least=2.0**-24
)
