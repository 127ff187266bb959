"""Whether the factors follow from the statistics, and these from the sums of all shards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from unitmean.graph.plan import Plan
from unitmean.networks.architectures import Network
from unitmean.pipeline.disk.frames import row_groups
from unitmean.pipeline.measure.measurement import Sums
from unitmean.pipeline.measure.tables import SUMS, from_frame, summary
from unitmean.pipeline.proof.remeasure import LIVE
from unitmean.pipeline.rescale.statistics import measured
from unitmean.statistics.factors import choose

# Float64's rounding, of sums of many shards and of logarithms, with room.
SAME = 1e-9
# A fast precision's error in a channel may be BEYOND times the error that the share MOST of its layer's
# channels stay below. On an H100 the worst of VGG-19's channels in float16 had 3 times that error in
# convolutions, 12 times in relu7.
BEYOND, MOST = 30.0, 0.9
# That error itself is at most this: one of a tenth is no rounding, but another measurement.
TYPICAL = 0.1
STEADY = 0.5
# Columns of statistics.parquet that follow from the sums; those in SCALED are multiplied by the correction.
SCALED = ("mean", "standard_error", "std", "maximum")
FOUNDED = (*SCALED, "active_fraction", "images")


@dataclass(frozen=True)
class Tables:
    """factors.parquet and statistics.parquet, a row a channel, and what the sums of all shards say of each.

    of_shards: in the columns of statistics.parquet, before any correction.
    """

    factors: pd.DataFrame
    statistics: pd.DataFrame
    of_shards: pd.DataFrame


def first_shards(path: Path, images: int | None = None) -> Sums:
    """The sums of the first shards that together hold at least `images` images; of all shards when None."""
    sums: Sums = {}
    for frame in row_groups(path, ("site", "channel", "images", *SUMS)):
        found = from_frame(frame)
        sums = {site: sums[site] + found[site] for site in sums} if sums else found
        if images is not None and next(iter(sums.values())).images >= images:
            break
    return sums


def of_all(path: Path) -> pd.DataFrame:
    """What the sums of all shards say of each channel; one shard is in memory at a time."""
    return summary(first_shards(path))


def unfounded(network: Network, plan: Plan, tables: Tables, rescale: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each step from the sums to the factors that doesn't hold, with its first channel."""
    factors, statistics = tables.factors, tables.statistics
    rows = factors[factors["status"] != "output"].reset_index(drop=True)
    if list(zip(rows["site"], rows["channel"], strict=True)) != list(
        zip(statistics["site"], statistics["channel"], strict=True)
    ) or len(tables.of_shards) != len(statistics):
        yield "statistics: shards.parquet, statistics.parquet and factors.parquet must have the same channels"
        return
    correction = statistics["correction"].to_numpy()
    for column in FOUNDED:
        factor = correction if column in SCALED else 1.0
        yield from _differing(
            rows,
            statistics[column].to_numpy(),
            tables.of_shards[column].to_numpy() * factor,
            "statistics.parquet",
            "what the sums of all shards say",
            column.replace("_", " "),
        )
    yield from _differing(
        rows,
        rows["mean"].to_numpy(),
        statistics["mean"].to_numpy(),
        "factors.parquet",
        "statistics.parquet's",
    )
    alive = {
        site.name: torch.from_numpy(
            rows.loc[rows["site"] == network.layer(site.name), "status"].isin(LIVE).to_numpy(copy=True)
        )
        for site in plan.sites
    }
    statistic, share = rescale.get("statistic", "mean"), rescale.get("quantile") or 0.0
    target = measured(network, plan, statistics, statistic, share)
    expected = choose(plan, target, alive, rounding=rescale["rounding"])
    for site in plan.sites:
        of_site = rows[rows["site"] == network.layer(site.name)]
        yield from _differing(
            of_site,
            of_site["factor"].to_numpy(),
            expected[site.variables].numpy(),
            "the factors",
            f"what its {statistic} asks for",
            "factor",
        )


def beyond_precision(collected: Sums, single: Sums) -> Iterator[str]:
    """A sentence for each site whose sums differ from float32's by more than their precision explains.

    Both are over the same images. A precision's errors have similar sizes in nearly all channels of a layer.
    So a sum is wrong where its error is many times that of nearly all others, or where it is zero and
    float32's is not.
    """
    for site, exact in single.items():
        found = collected[site]
        if found is exact or torch.equal(found.mean, exact.mean):
            continue
        # A mean that rests on an image or two may be anything in a lesser precision.
        steady = (exact.mean > 0) & (exact.standard_error() <= STEADY * exact.expectation())
        error = (found.mean / exact.mean - 1).abs()
        typical = error[steady & error.isfinite()].quantile(MOST) if bool(steady.any()) else 0.0
        limit = BEYOND * typical if typical <= TYPICAL else TYPICAL
        wrong = steady & ~(error <= limit)  # NaN is wrong, too
        if bool(wrong.any()):
            channel = int(wrong.nonzero()[0, 0])
            yield (
                f"statistics: in shards.parquet the sums of channel {channel} of {site} must be float32's "
                f"within {float(limit):.2g}, as those of its layer; found {float(error[channel]):.3g}"
            )


def _differing(
    rows: pd.DataFrame, found: Any, expected: Any, where: str, what: str, noun: str = "mean"
) -> Iterator[str]:
    wrong = ~np.isclose(found, expected, rtol=SAME, atol=0, equal_nan=True)
    if wrong.any():
        first = int(wrong.argmax())
        row = rows.iloc[first]
        more = f", and {int(wrong.sum()) - 1:,} more" if wrong.sum() > 1 else ""
        yield (
            f"statistics: in {where} the {noun} of channel {row['channel']} of {row['site']} must be {what}, "
            f"{expected[first]:.9g}; found {found[first]:.9g}{more}"
        )
