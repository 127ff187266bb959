"""The statistics of a plan's sites, read from the table statistics.parquet."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from unitmean.errors import DataError, InvarianceError
from unitmean.graph.plan import Plan
from unitmean.networks.architectures import Network
from unitmean.pipeline.measure.tables import histogram
from unitmean.statistics.alive import alive
from unitmean.statistics.kinds import values
from unitmean.statistics.statistic import Summary

COLUMNS = ("mean", "standard_error", "std", "maximum", "active_fraction")
"""What `living` and `measured` read of a table."""


def column(network: Network, plan: Plan, table: pd.DataFrame, name: str) -> dict[str, Float64[Tensor, " _"]]:
    """A column of the table, by site; DataError where its sites or channels aren't the plan's."""
    by_site = {str(site): rows[name].to_numpy(copy=True) for site, rows in table.groupby("site", sort=False)}
    columns = {}
    for site in plan.sites:
        found = by_site.get(network.layer(site.name), np.empty(0))
        if len(found) != site.channels:
            raise DataError(
                f"the statistics must hold {site.channels} channels of {network.layer(site.name)}; found "
                f"{len(found)}: they are of other weights, run collect_statistics again"
            )
        columns[site.name] = torch.from_numpy(found)
    return columns


def measured(
    network: Network, plan: Plan, table: pd.DataFrame, statistic: str, share: float
) -> dict[str, Float64[Tensor, " _"]]:
    """The named statistic of every channel, by site; `share` says which quantile.

    Raises DataError for an unknown statistic, where the table lacks the histograms that it needs, or where a
    value isn't finite.
    """
    mean, deviation, maximum = (column(network, plan, table, name) for name in ("mean", "std", "maximum"))
    counts = {str(site): histogram(rows) for site, rows in table.groupby("site", sort=False)}
    summaries = {
        site: Summary(mean[site], deviation[site], maximum[site], counts[network.layer(site)])
        for site in mean
    }
    try:
        found = values(statistic, summaries, share)
    except ValueError as error:
        raise DataError(str(error)) from error
    for site, of_site in found.items():
        if count := int((~of_site.isfinite()).sum()):
            raise DataError(
                f"a statistic that is to be one must be finite; found {count} NaN or infinite values of "
                f"{statistic} in {network.layer(site)}: the activations overflow, or the table is damaged"
            )
    return found


def living(
    network: Network,
    plan: Plan,
    table: pd.DataFrame,
    target: Mapping[str, Float64[Tensor, " _"]],
    min_active_fraction: float,
    max_relative_error: float,
) -> dict[str, Bool[Tensor, " _"]]:
    """Which channels can be divided by `target`, their statistic that is to be one."""
    mean, error, active = (
        column(network, plan, table, name) for name in ("mean", "standard_error", "active_fraction")
    )
    return {
        site: alive(
            target[site],
            mean[site],
            error[site],
            active[site],
            min_active_fraction=min_active_fraction,
            max_relative_error=max_relative_error,
        )
        for site in mean
    }


def require_alive(
    network: Network,
    live: Mapping[str, Bool[Tensor, " _"]],
    target: Mapping[str, Float64[Tensor, " _"]],
    max_dead_fraction: float,
    statistic: str,
) -> None:
    """InvarianceError where more than `max_dead_fraction` of all channels, pinned ones too, aren't live."""
    total = sum(len(channels) for channels in live.values())
    left = {network.layer(site): int((~channels).sum()) for site, channels in live.items()}
    if sum(left.values()) <= max_dead_fraction * total:
        return
    negative = sum(int((~channels & (target[site] < 0)).sum()) for site, channels in live.items())
    dead, worst = sum(left.values()) - negative, max(left, key=lambda layer: left[layer])
    remedy = "measure more images (dataset.subset)"
    if negative > dead:
        remedy = f"choose a statistic that is positive for them (rescale.statistic=rms, not {statistic})"
    raise InvarianceError(
        f"at most {max_dead_fraction:.0%} of the channels may be dead or have a negative {statistic}; "
        f"found {dead} dead and {negative} negative of {total}, most of them in {worst} "
        f"({left[worst]}): {remedy}, or raise rescale.max_dead_fraction"
    )
