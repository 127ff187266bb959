"""The statistics of a channel that can be made one: a file of this folder with a STATISTIC for each."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from unitmean.errors import DataError
from unitmean.registry import registered
from unitmean.statistics.statistic import Statistic, Summary

if TYPE_CHECKING:
    from jaxtyping import Float64
    from torch import Tensor


@cache
def statistics() -> dict[str, Statistic]:
    """Every statistic by its name. To add one, add a file to this folder and a test."""
    return {statistic.name: statistic for statistic in registered(__name__, "STATISTIC", Statistic)}


def known(name: str) -> Statistic:
    """The statistic of that name; ValueError where there is none."""
    if name not in statistics():
        raise ValueError(f"statistic must be one of {', '.join(statistics())}; found {name!r}")
    return statistics()[name]


def values(
    name: str, summaries: Mapping[str, Summary], share: float
) -> "dict[str, Float64[Tensor, ' channels']]":
    """The named statistic of every channel, by site; `share` says which quantile.

    Raises ValueError for an unknown name and, where the statistic needs histograms, for a share that isn't
    above 0 and at most 1, or for summaries without histograms; DataError where a channel's statistic isn't
    known.
    """
    statistic = known(name)
    if statistic.counted and not 0 < share <= 1:
        raise ValueError(f"quantile must be above 0 and at most 1; found {share!r}")
    if statistic.counted and not all(summary.histogram.numel() for summary in summaries.values()):
        raise ValueError(
            f"the statistic {name!r} needs histograms; found none: measure with histograms=True "
            "(collect.histograms=true in the pipeline)"
        )
    found = {site: statistic.of(summary, share) for site, summary in summaries.items()}
    for site, of_site in found.items():
        unknown = of_site.isnan() & summaries[site].mean.isfinite()
        if count := int(unknown.sum()):
            most = float(summaries[site].maximum[unknown].max())
            raise DataError(
                f"the {statistic.called(share)} must be known of every channel; found {count} of {site!r} "
                f"with activations up to {most:.2g}, beyond the last bucket of their histograms: give "
                "weights whose mean activations are one already, or choose another statistic"
            )
    return found
