"""What an audit found: each candidate's means, and how far they are from one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64
from torch import Tensor

from unitmean.graph.variables import ONE
from unitmean.pipeline.audit.candidates import Candidate
from unitmean.statistics.moments import Moments

# A channel is judged where its mean's relative standard error is at most KNOWN. Where n images make it active
# alike, among many, that is 1/sqrt(n): so it takes four of them. `unitmean normalise` leaves channels alone
# that rest on an image or two, and other images would have made it leave others.
KNOWN = 0.5
# A layer is judged where at least this share of its active channels is.
LEAST = 0.25
# A layer counts as normalised where the median distance of its channels' means from one is at most NEAR and
# the standard deviation of their logarithms at most SCATTER, each plus what sampling explains. Layers of
# networks as trained have means of any size, and a standard deviation of a half to one and more.
NEAR, SCATTER = 0.15, 0.5
# Candidates are ranked by the middle of the logarithms alone: half the distance of these quantiles, which is
# 1.645 standard deviations of normally distributed numbers. Else the few channels would decide that were
# hardly active where the means were measured, and so were left as they were.
MIDDLE, DEVIATIONS = (0.05, 0.95), 1.645
# Standard errors that sampling explains of either: a small sample may be brighter, which makes all means
# larger, and late layers' channels follow few images.
SHIFT = 2.0
# Standard errors that sampling explains of one mean, where many images measure it: of normally distributed
# ones one in 16,000 lies beyond. See `_explained` for few images.
EXPLAINED = 4.0
SHOWN = 4  # layers that a sentence names


@dataclass(frozen=True)
class Measured:
    """A candidate, and the moments of each layer as it measures them.

    variables: of each layer's channels, as of a `Site`: channels with one variable share a factor, and those
    with the variable ONE can't have any.
    """

    candidate: Candidate
    means: Mapping[str, Moments]
    variables: Mapping[str, Int64[Tensor, " channels"]]

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a channel that may have a factor.

        Columns: site, channel, mean, standard_error, shared_mean, z, known, explained.
        Channels are known where enough images make them active, and all others that share their factor.
        shared_mean is the geometric mean over these: it is what a factor can make one. z is its logarithm in
        standard errors, and so its distance from one: where a few images that make a channel active are
        missing, its mean is small, and so is the error of that mean. A known channel that is off by more
        than sampling explains is not explained.
        """
        frames = [
            pd.DataFrame(
                {
                    "site": site,
                    "channel": range(len(found.mean)),
                    "mean": found.expectation().numpy(),
                    "standard_error": found.standard_error().numpy(),
                    "variable": self.variables[site].numpy(),
                    "most": _explained(found.images),
                }
            )
            for site, found in self.means.items()
        ]
        every = pd.concat(frames, ignore_index=True)
        table = every[every["variable"] != ONE].reset_index(drop=True)
        relative = table["standard_error"] / table["mean"].where(table["mean"] > 0)
        by = table["variable"]
        # A group's geometric mean is known where those of all its active channels are.
        known = (relative <= KNOWN) & (relative.fillna(0.0) <= KNOWN).groupby(by).transform("all")
        logarithms = np.log(table["mean"].where(known))
        logarithm = logarithms.groupby(by).transform("mean").where(known)
        # The errors of channels of one image go together, so that an average of them is no smaller.
        error = relative.where(known).groupby(by).transform("mean")
        z = logarithm / error.where(error > 0)
        explained = ~known | (z.abs() <= table["most"])
        tied = by.where(known).duplicated(keep=False) & known
        shared = np.exp(logarithm).where(tied, table["mean"])
        table = table.assign(shared_mean=shared, z=z, known=known, explained=explained)
        return table.drop(columns=["variable", "most"])

    @cached_property
    def known(self) -> pd.DataFrame:
        """The rows of the channels that can be judged."""
        return self.table[self.table["known"]]

    @cached_property
    def layers(self) -> pd.DataFrame:
        """By site: channels, and how many are known; of their means the median, mean, and distance, as of
        the whole table; deviation, the standard deviation of the logarithms; judged, whether enough channels
        are known, and normalised.
        """
        rows = {}
        for site, channels in self.table.groupby("site", sort=False):
            known = channels[channels["known"]]
            # A mean far above one has a larger error, and one far below one a smaller: neither excuses it.
            relative = known["standard_error"] / known["mean"]
            error = float(relative.clip(upper=relative * known["shared_mean"]).fillna(0.0).median())
            distance, deviation = _distance(known), float(np.log(known["shared_mean"]).std(ddof=0))
            judged = bool(0 < len(known) >= LEAST * (channels["mean"] > 0).sum())
            near = distance <= NEAR + SHIFT * error and deviation <= SCATTER + SHIFT * error
            rows[site] = {
                "channels": len(channels),
                "known": len(known),
                "mean": float(known["shared_mean"].median()),
                "distance": distance,
                "deviation": deviation,
                "judged": judged,
                "normalised": judged and near,
            }
        return pd.DataFrame.from_dict(rows, orient="index")

    @property
    def spread(self) -> float:
        """How far the middle nine tenths of the known means' logarithms spread, as a standard deviation."""
        low, high = np.log(self.known["shared_mean"]).quantile(list(MIDDLE))
        return float(high - low) / (2 * DEVIATIONS)

    @property
    def distance(self) -> float:
        """The median distance of a known mean from one."""
        return _distance(self.known)

    @property
    def within(self) -> float:
        """The share of the known channels whose mean lies within three standard errors of one."""
        return float((self.known["z"].abs() <= 3).mean())

    @property
    def normalised(self) -> bool:
        """Whether every layer is."""
        return bool(self.layers["normalised"].all())

    @property
    def verdict(self) -> str:
        if self.normalised:
            return "normalised"
        off = self.layers["judged"] & ~self.layers["normalised"]
        return "NOT normalised" if off.any() else "NOT KNOWN to be normalised"

    @property
    def words(self) -> str:
        """The clause that follows the verdict and the number of images."""
        if not len(self.known):
            return f"none of {len(self.table):,} channels is active in enough images to be judged"
        said = [
            f"the mean of {self.within:.1%} of {len(self.known):,} channels lies within three standard "
            f"errors of one; best by {self.candidate}"
        ]
        if unknown := len(self.table) - len(self.known):
            said.append(f"not judged, since too few images make them active: {unknown:,}")
        judged = self.layers["judged"]
        for chosen, what, described in (
            (judged & ~self.layers["normalised"], "are off", _off),
            (~judged, "have too few channels that these images make active, show more", _unknown),
        ):
            if len(rows := self.layers[chosen]):
                named = ", ".join(f"{site} ({described(row)})" for site, row in rows.head(SHOWN).iterrows())
                more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
                said.append(f"{len(rows)} of {len(self.layers)} layers {what}: {named}{more}")
        return "; ".join(said)

    @property
    def unexplained(self) -> pd.DataFrame:
        """The channels that are not explained, the worst first."""
        off = self.table[~self.table["explained"]]
        return off.assign(by=off["z"].abs().fillna(np.inf)).sort_values("by", ascending=False, kind="stable")


def _off(layer: pd.Series) -> str:
    return f"median mean {layer['mean']:.3g}, logarithms' deviation {layer['deviation']:.2g}"


def _unknown(layer: pd.Series) -> str:
    return f"{layer['known']:,} of {layer['channels']:,} channels"


def _explained(images: int) -> float:
    """The quantile of Student's distribution for so many images that is EXPLAINED of the normal one.

    By Wallace (1959), "Bounds on normal approximations to Student's and the chi-square distributions", whose
    approximation is too large by a fifth for four images, by 2% for eight.
    """
    if images < 2:
        return math.inf
    degrees = images - 1
    normal = EXPLAINED * (8 * degrees + 3) / (8 * degrees + 1)
    return math.sqrt(degrees * math.expm1(normal**2 / degrees))


def _distance(channels: pd.DataFrame) -> float:
    return float((channels["shared_mean"] - 1).abs().median())


def candidate_table(measured: Sequence[Measured]) -> pd.DataFrame:
    """A row a candidate: candidate (in words), pixels, input, padding, pooling, spread, distance, within."""
    return pd.DataFrame(
        {
            "candidate": c.short,
            "pixels": c.pixels,
            "input": c.input,
            "padding": c.padding,
            "pooling": c.pooling,
            "spread": found.spread,
            "distance": found.distance,
            "within": found.within,
        }
        for found in measured
        for c in [found.candidate]
    )


def figures(measured: Sequence[Measured], images: int) -> dict[str, Any]:
    """The best candidate's verdict and figures, as a flat dict for tables; None where no channel is known."""
    best = measured[0]
    return {
        "audit_normalised": best.normalised,
        "audit_best": best.candidate.short,
        "audit_spread": _figure(best.spread),
        "audit_distance": _figure(best.distance),
        "audit_within_3": _figure(best.within),
        "audit_layers_off": int((~best.layers["normalised"]).sum()),
        "audit_unknown": len(best.table) - len(best.known),
        "audit_unexplained": len(best.unexplained),
        "audit_images": images,
    }


def _figure(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
