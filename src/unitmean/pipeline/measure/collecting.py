"""Statistics of an index as far as they are needed, and the error that a fast precision makes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from unitmean.pipeline.index.index import Index
from unitmean.pipeline.measure.measurement import Measurement
from unitmean.pipeline.measure.shards import Engine, Sums, add, local, measure, shards
from unitmean.statistics.accuracy import Accuracy, accuracy
from unitmean.statistics.control import Control, trust


@dataclass(frozen=True)
class Target:
    """Stop at the first shard at which `share` of the channels have at most this relative standard error.

    Not before `min_images`: a standard error of n images is itself uncertain by 1/sqrt(2n - 2), 13% of 32.
    """

    standard_error: float | None = None
    share: float = 0.95
    min_images: int = 32

    def reached(self, found: Accuracy) -> bool:
        return found.share is not None and found.share >= self.share and found.images >= self.min_images


@dataclass(frozen=True)
class Collection:
    """The sums of the first images of an index, the shards they were added from, and how they converged."""

    index: Index
    shards: tuple[Index, ...]
    sums: Sums
    convergence: tuple[Accuracy, ...]

    def table(self) -> pd.DataFrame:
        """Columns shard, images, channels, median, at_share, worst, share: after each shard."""
        return pd.DataFrame(map(asdict, self.convergence)).rename_axis("shard").reset_index()


def collect(
    measurement: Measurement,
    index: Index,
    shard_size: int,
    partial: Path,
    target: Target | None = None,
    engine: Engine = local,
) -> Collection:
    """Measure shard after shard until the target is reached or the index ends.

    Where it stops depends on the shards' sums alone, not on which of them were kept from earlier runs.
    """
    target = target or Target()
    parts = shards(index, shard_size)
    sums: Sums = {}
    convergence: list[Accuracy] = []
    found = measure(measurement, parts, partial, engine)
    for shard in found:
        sums = add(sums, shard) if sums else shard
        convergence.append(accuracy(sums.values(), target.standard_error, target.share))
        if target.reached(convergence[-1]):
            break
    found.close()
    used = parts[: len(convergence)]
    return Collection(index.head(sum(map(len, used))), tuple(used), sums, tuple(convergence))


def control(
    measurement: Measurement, images: Index, partial: Path, engine: Engine = local
) -> list[dict[str, Control]]:
    """Each half of the images in float32 and in the measurement's precision, by site."""
    halves = shards(images, -(-len(images) // 2))
    precise = measure(measurement.with_precision("float32"), halves, partial, engine)
    fast = measure(measurement, halves, partial, engine)
    return [
        {site: Control(a[site], b[site]) for site in a}
        for a, b in zip(list(precise), list(fast), strict=True)
    ]


def ratios(halves: list[dict[str, Control]]) -> dict[str, Float64[Tensor, " _"]]:
    """What a fast mean is to be multiplied by, by site: less than was found, by as much as may be chance."""
    return {site: _whole(halves, site).ratio ** _trust(halves, site) for site in halves[0]}


def error_report(halves: list[dict[str, Control]]) -> Mapping[str, Any]:
    """What the control says of the fast means' relative errors.

    The corrected means' are those of each half's images under the ratios of the other half.
    """
    plain, corrected = [], []
    worst, where = -1.0, ""
    for site in halves[0]:
        errors = _whole(halves, site).error()
        plain.append(errors)
        if len(errors) and float(errors.max()) > worst:
            worst, where = float(errors.max()), site
        for this, other in (halves, halves[::-1]) if len(halves) == 2 else ():
            corrected.append(this[site].error(other[site].ratio ** _trust(halves, site)))
    return {
        "images": sum(half[next(iter(half))].precise.images for half in halves),
        "channels": int(sum(map(len, plain))),
        "error": _summary(plain) | {"worst_site": where},
        "error_corrected": _summary(corrected),
    }


def _whole(halves: list[dict[str, Control]], site: str) -> Control:
    first, *rest = (half[site] for half in halves)
    return first + rest[0] if rest else first


def _trust(halves: list[dict[str, Control]], site: str) -> float:
    return trust([half[site] for half in halves])


def _summary(errors: list[Float64[Tensor, " _"]]) -> dict[str, float | None]:
    found = torch.cat(errors) if errors else torch.empty(0)
    if not len(found):
        return {"median": None, "worst": None}
    return {"median": float(found.median()), "worst": float(found.max())}
