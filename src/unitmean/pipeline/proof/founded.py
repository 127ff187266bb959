"""Whether the factors follow from the statistics, and these from the sums of all shards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from unitmean.errors import DataError
from unitmean.graph.observe import OUTPUT
from unitmean.graph.plan import Plan
from unitmean.networks.architectures import Network
from unitmean.pipeline.disk.frames import row_groups
from unitmean.pipeline.measure.measurement import Sums
from unitmean.pipeline.measure.tables import SUMS, from_frame, summary
from unitmean.pipeline.rescale.choosing import Rules, choose_factors

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

    of_shards: in the columns of statistics.parquet, before any correction. rules: by which the factors follow
    from the statistics.
    """

    factors: pd.DataFrame
    statistics: pd.DataFrame
    of_shards: pd.DataFrame
    rules: Rules

    @property
    def images(self) -> int:
        """The number of images in all shards."""
        return int(self.of_shards["images"].iloc[0])

    @property
    def correction(self) -> dict[str, Float64[Tensor, " channels"]]:
        """By layer, what the means were multiplied by."""
        groups = self.statistics.groupby("site", sort=False)
        return {str(site): torch.from_numpy(rows["correction"].to_numpy(copy=True)) for site, rows in groups}


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


def require_same_channels(tables: Tables) -> None:
    """DataError where the tables are of different channels, which nothing could be compared of."""
    rows = tables.factors[tables.factors["status"] != OUTPUT]
    if not _channels(rows) == _channels(tables.statistics) == _channels(tables.of_shards):
        raise DataError(
            "shards.parquet, statistics.parquet and factors.parquet must have the same channels; found other "
            "ones in one of them: run `dvc repro` to write them again"
        )


def unfounded(network: Network, plan: Plan, tables: Tables) -> Iterator[str]:
    """A sentence for each step from the sums to the factors that doesn't hold, with its first channel."""
    factors, statistics = tables.factors, tables.statistics
    correction = statistics["correction"].to_numpy()
    for column in FOUNDED:
        factor = correction if column in SCALED else 1.0
        expected = tables.of_shards.assign(**{column: tables.of_shards[column] * factor})
        where = "statistics.parquet", "what the sums of all shards say"
        yield from _differing(statistics, expected, column, *where)
    chosen = choose_factors(network, plan, statistics, tables.rules).table
    if _channels(chosen) != _channels(factors):
        yield "statistics: factors.parquet must have the network's channels and free outputs, and no others"
        return
    yield from _differing(factors, chosen, "mean", "factors.parquet", "statistics.parquet's")
    yield from _differing(factors, chosen, "status", "factors.parquet", "what its statistics say")
    yield from _differing(
        factors, chosen, "factor", "the factors", f"what its {tables.rules.statistic} asks for"
    )


def _channels(table: pd.DataFrame) -> list[tuple[str, int]]:
    return list(zip(table["site"], table["channel"], strict=True))


def beyond_precision(
    collected: Sums, single: Sums, correction: Mapping[str, Float64[Tensor, " _"]]
) -> Iterator[str]:
    """A sentence for each site whose sums differ from float32's by more than their precision explains.

    Both are over the same images. A precision's errors have similar sizes in nearly all channels of a layer.
    So a sum is wrong where its error is many times that of nearly all others, or where it is zero and
    float32's is not. The correction, which the means were multiplied by, comes from other images. It is wrong
    where it leaves such an error, or where the sums are float32's own and it isn't one.
    """
    for site, exact in single.items():
        found, by = collected[site], correction[site]
        if found is exact or torch.equal(found.mean, exact.mean):
            if bool((by != 1).any()):
                channel = int((by != 1).nonzero()[0, 0])
                yield (
                    f"statistics: in statistics.parquet the correction of channel {channel} of {site} must "
                    f"be 1, since its sums are float32's; found {float(by[channel]):.9g}"
                )
            continue
        # A mean that rests on an image or two may be anything in a lesser precision.
        steady = (exact.mean > 0) & (exact.standard_error() <= STEADY * exact.expectation())
        error = (found.mean / exact.mean - 1).abs()
        typical = error[steady & error.isfinite()].quantile(MOST) if bool(steady.any()) else 0.0
        limit = BEYOND * typical if typical <= TYPICAL else TYPICAL
        corrected = (by * found.mean / exact.mean - 1).abs()
        for wrong_by, what in (
            (error, "shards.parquet the sums"),
            (corrected, "statistics.parquet the corrected sums"),
        ):
            wrong = steady & ~(wrong_by <= limit)  # NaN is wrong, too
            if bool(wrong.any()):
                channel = int(wrong.nonzero()[0, 0])
                yield (
                    f"statistics: in {what} of channel {channel} of {site} must be float32's "
                    f"within {float(limit):.2g}, as those of its layer; found {float(wrong_by[channel]):.3g}"
                )
                break


def _differing(
    found: pd.DataFrame, expected: pd.DataFrame, column: str, where: str, what: str
) -> Iterator[str]:
    """A sentence if a column of two tables of the same channels differs by more than rounding."""
    pairs = found[column].to_numpy(), expected[column].to_numpy()
    text = pd.api.types.is_string_dtype(found[column])
    wrong = pairs[0] != pairs[1] if text else ~np.isclose(*pairs, rtol=SAME, atol=0, equal_nan=True)
    if wrong.any():
        first = int(wrong.argmax())
        row = found.iloc[first]
        values = [f"{values[first]}" if text else f"{values[first]:.9g}" for values in pairs]
        more = f", and {int(wrong.sum()) - 1:,} more" if wrong.sum() > 1 else ""
        yield (
            f"statistics: in {where} the {column.replace('_', ' ')} of channel {row['channel']} of "
            f"{row['site']} must be {what}, {values[1]}; found {values[0]}{more}"
        )
