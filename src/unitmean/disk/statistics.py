"""What statistics.parquet says of a plan's sites."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from unitmean.core.plan import Plan
from unitmean.errors import DataError, InvarianceError
from unitmean.networks.architectures import Network


def column(network: Network, plan: Plan, table: pd.DataFrame, name: str) -> dict[str, Float64[Tensor, " _"]]:
    """One column by the plan's site; DataError where the table has other sites or channels."""
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


def means(network: Network, plan: Plan, table: pd.DataFrame) -> dict[str, Float64[Tensor, " _"]]:
    """The mean activation of every channel."""
    return column(network, plan, table, "mean")


def alive(
    network: Network, plan: Plan, table: pd.DataFrame, min_active_fraction: float, max_relative_error: float
) -> dict[str, Bool[Tensor, " _"]]:
    """Which channels are active often enough for their mean to be worth dividing by.

    A mean whose relative standard error exceeds `max_relative_error` rests on an image or two; one that isn't
    positive and finite can't be made one. Both count as dead. A single image has no standard error.
    """
    active = column(network, plan, table, "active_fraction")
    error = column(network, plan, table, "standard_error")
    return {
        site: (active[site] >= min_active_fraction)
        & (mean > 0)
        & mean.isfinite()
        & ~(error[site] > max_relative_error * mean)
        for site, mean in means(network, plan, table).items()
    }


def require_alive(network: Network, live: Mapping[str, Bool[Tensor, " _"]], max_dead_fraction: float) -> None:
    """InvarianceError where more than `max_dead_fraction` of all channels are dead."""
    total = sum(len(channels) for channels in live.values())
    dead = {network.layer(site): int((~channels).sum()) for site, channels in live.items()}
    if sum(dead.values()) > max_dead_fraction * total:
        worst = max(dead, key=lambda layer: dead[layer])
        raise InvarianceError(
            f"at most {max_dead_fraction:.0%} of the channels may be dead; found {sum(dead.values())} of "
            f"{total}, most of them in {worst} ({dead[worst]}): measure more images "
            "(dataset.subset), or raise rescale.max_dead_fraction"
        )
