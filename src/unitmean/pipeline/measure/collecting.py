"""Collects statistics until they are accurate enough, and measures the error of a fast precision."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from unitmean.pipeline.index.index import Index
from unitmean.pipeline.measure.measurement import Measurement, Sums
from unitmean.pipeline.measure.shards import Engine, Target, local, measure, shards
from unitmean.statistics.accuracy import Accuracy
from unitmean.statistics.control import Control, trust


@dataclass(frozen=True)
class Collection:
    """The first images of an index, their sums, and the accuracy of the means after each shard."""

    index: Index
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
    keep: Callable[[Sums], object] = lambda _: None,
) -> Collection:
    """Measure shards until the target is reached or the index ends; `keep` is called with each one's sums.

    Where it stops depends on the shards' sums alone, not on which of them were kept from earlier runs.
    """
    convergence: list[Accuracy] = []
    sums: Sums = {}
    with closing(measure(measurement, shards(index, shard_size), partial, engine, target)) as found:
        for shard in found:
            keep(shard.sums)
            convergence.append(shard.accuracy)
            sums = shard.so_far
    return Collection(index.head(convergence[-1].images), sums, tuple(convergence))


def control(
    precise: Measurement, fast: Measurement, images: Index, partial: Path, engine: Engine = local
) -> list[dict[str, Control]]:
    """For each half of the images, by site, its moments measured precisely and fast."""
    halves = shards(images, -(-len(images) // 2))
    found = [
        [shard.sums for shard in measure(one, halves, partial, engine, what="measuring control images")]
        for one in (precise, fast)
    ]
    return [{site: Control(a[site], b[site]) for site in a} for a, b in zip(*found, strict=True)]


@dataclass(frozen=True)
class Checked:
    """What the control images show of a fast precision.

    report: figures for the provenance. correction: by site, what means are multiplied by; None for nothing.
    errors: by site, the relative errors of each channel's mean; None where the precision is float32.
    """

    report: Mapping[str, Any] | None = None
    correction: Mapping[str, Float64[Tensor, " _"]] | None = None
    errors: Mapping[str, Float64[Tensor, " _"]] | None = None

    def mended(self, sums: Sums) -> Sums:
        """The sums, corrected where there is a correction."""
        if self.correction is None:
            return sums
        return {site: moments.scaled(self.correction[site]) for site, moments in sums.items()}


def check(
    precise: Measurement,
    fast: Measurement,
    images: Index,
    partial: Path,
    engine: Engine = local,
    correct: bool = False,
) -> Checked:
    """The control of a fast measurement and, if asked for, its correction."""
    halves = control(precise, fast, images, partial, engine)
    report = dict(error_report(halves)) | {"corrected": correct and _comparable(halves)}
    return Checked(report, ratios(halves) if correct else None, errors(halves))


def _comparable(halves: list[dict[str, Control]]) -> bool:
    """Whether any channel's mean is known of both halves, without which nothing is corrected."""
    return len(halves) == 2 and any(
        bool((halves[0][site].known & halves[1][site].known).any()) for site in halves[0]
    )


def ratios(halves: list[dict[str, Control]]) -> dict[str, Float64[Tensor, " _"]]:
    """By site, what fast means are multiplied by: the measured ratios, less the part that may be chance."""
    return {site: _whole(halves, site).ratio ** _trust(halves, site) for site in halves[0]}


def errors(halves: list[dict[str, Control]]) -> dict[str, Float64[Tensor, " _"]]:
    """By site, each channel's relative error in the fast precision; the site's worst where it isn't known."""
    found = {}
    for site in halves[0]:
        both = _whole(halves, site)
        known = (both.ratio - 1).abs()
        worst = known[both.known].max() if both.known.any() else torch.tensor(1.0)
        found[site] = torch.where(both.known, known, worst.double())
    return found


def error_report(halves: list[dict[str, Control]]) -> Mapping[str, Any]:
    """Figures of the fast means' relative errors, as measured and as corrected.

    For the latter each half of the images is corrected by the ratios of the other half.
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
