"""What an audit found: each candidate's means, and how far they are from one."""

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

# A layer counts as normalised where the median distance of its channels' means from one is at most NEAR and
# the standard deviation of their logarithms at most SCATTER, each plus what sampling explains. Layers of
# networks as trained have means of any size, and a standard deviation of a half to one and more.
NEAR, SCATTER = 0.15, 0.5
# Standard errors that sampling explains of either: a small sample may be brighter, which makes all means
# larger, and late layers' channels follow few images.
SHIFT = 2.0
# Standard errors that sampling explains of one mean: of normally distributed ones one in 16,000 lies beyond.
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

        Columns: site, channel, mean, standard_error, shared_mean, z, explained.
        shared_mean is the geometric mean over the active channels that share the channel's factor: it is what
        a factor can make one. z is its distance from one in standard errors. A channel that is never active,
        or off by more than sampling explains, is not explained.
        """
        frames = [
            pd.DataFrame(
                {
                    "site": site,
                    "channel": range(len(found.mean)),
                    "mean": found.expectation().numpy(),
                    "standard_error": found.standard_error().numpy(),
                    "variable": self.variables[site].numpy(),
                }
            )
            for site, found in self.means.items()
        ]
        every = pd.concat(frames, ignore_index=True)
        table = every[every["variable"] != ONE].reset_index(drop=True)
        active = table["mean"].where(table["mean"] > 0)
        by = table["variable"]
        shared = np.exp(np.log(active).groupby(by).transform("mean")).where(active.notna(), 0.0)
        # The errors of channels of one image go together, so that an average of them is no smaller.
        error = shared * (table["standard_error"] / active).groupby(by).transform("mean")
        z = (shared - 1) / error.where(error > 0)
        table = table.assign(shared_mean=shared, z=z, explained=z.abs() <= EXPLAINED)
        return table.drop(columns="variable")

    @cached_property
    def layers(self) -> pd.DataFrame:
        """By site: mean, the median of its channels' means, distance, spread and normalised.

        distance and spread are as of the whole table. A layer without active channels isn't normalised.
        """
        rows = {}
        for site, channels in self.table.groupby("site", sort=False):
            active = channels[channels["shared_mean"] > 0]
            # A mean far above one has a larger error, and one far below one a smaller: neither excuses it.
            relative = active["standard_error"] / active["mean"]
            error = float(relative.clip(upper=relative * active["shared_mean"]).fillna(0.0).median())
            distance, spread = _distance(active), _spread(active)
            normalised = distance <= NEAR + SHIFT * error and spread <= SCATTER + SHIFT * error
            median = float(channels["shared_mean"].median())
            rows[site] = {"mean": median, "distance": distance, "spread": spread, "normalised": normalised}
        return pd.DataFrame.from_dict(rows, orient="index")

    @property
    def spread(self) -> float:
        """The standard deviation of the logarithms of the means of channels that are ever active."""
        return _spread(self.table[self.table["shared_mean"] > 0])

    @property
    def distance(self) -> float:
        """The median distance of a mean from one."""
        return _distance(self.table)

    @property
    def within(self) -> float:
        """The share of channels whose mean lies within three standard errors of one."""
        return float((self.table["z"].abs() <= 3).mean())

    @property
    def normalised(self) -> bool:
        """Whether every layer is."""
        return bool(self.layers["normalised"].all())

    @property
    def verdict(self) -> str:
        return "normalised" if self.normalised else "NOT normalised"

    @property
    def words(self) -> str:
        """The clause that follows the verdict and the number of images."""
        said = (
            f"the mean of {self.within:.1%} of {len(self.table):,} channels lies within three standard "
            f"errors of one; best by {self.candidate}"
        )
        off = self.layers[~self.layers["normalised"]]
        if not len(off):
            return said
        named = ", ".join(
            f"{site} (median mean {row['mean']:.3g})" for site, row in off.head(SHOWN).iterrows()
        )
        more = f" and {len(off) - SHOWN} more" if len(off) > SHOWN else ""
        return f"{said}; {len(off)} of {len(self.layers)} layers are off: {named}{more}"

    @property
    def unexplained(self) -> pd.DataFrame:
        """The channels that are not explained, the worst first."""
        table = self.table
        off = table[~table["explained"]]
        return off.assign(by=off["z"].abs().fillna(np.inf)).sort_values("by", ascending=False, kind="stable")


def _distance(channels: pd.DataFrame) -> float:
    return float((channels["shared_mean"] - 1).abs().median())


def _spread(active: pd.DataFrame) -> float:
    return float(np.log(active["shared_mean"]).std(ddof=0))


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
    """The best candidate's verdict and figures, as a flat dict for tables."""
    best = measured[0]
    return {
        "audit_normalised": best.normalised,
        "audit_best": best.candidate.short,
        "audit_spread": round(best.spread, 4),
        "audit_distance": round(best.distance, 4),
        "audit_within_3": round(best.within, 4),
        "audit_layers_off": int((~best.layers["normalised"]).sum()),
        "audit_unexplained": len(best.unexplained),
        "audit_images": images,
    }
