"""What an audit found: each candidate's means, and how far they are from one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from unitmean.pipeline.audit.candidates import Candidate
from unitmean.statistics.moments import Moments

# A file counts as normalised where the median distance of its channels' means from one is at most NEAR, plus
# what sampling explains, and the standard deviation of their logarithms at most SCATTER. Networks as trained
# have a standard deviation of one and more, and means of any size.
NEAR, SCATTER = 0.15, 0.5
# Standard errors that are added to NEAR: a small sample may be brighter, which makes all means larger.
SHIFT = 2.0
# Standard errors that sampling explains: of normally distributed means one in 16,000 lies beyond 4.
EXPLAINED = 4.0


@dataclass(frozen=True)
class Measured:
    """A candidate, and the moments of each layer as it measures them."""

    candidate: Candidate
    means: dict[str, Moments]

    @cached_property
    def table(self) -> pd.DataFrame:
        """Columns site, channel, mean, standard_error, z, explained.

        z is the mean's distance from one in standard errors. A channel that is never active, or off by more
        than sampling explains, is not explained.
        """
        frames = [
            pd.DataFrame(
                {
                    "site": site,
                    "channel": range(len(found.mean)),
                    "mean": found.expectation().numpy(),
                    "standard_error": found.standard_error().numpy(),
                }
            )
            for site, found in self.means.items()
        ]
        table = pd.concat(frames, ignore_index=True)
        error = table["standard_error"]
        z = (table["mean"] - 1) / error.where(error > 0)
        return table.assign(z=z, explained=z.abs() <= EXPLAINED)

    @property
    def spread(self) -> float:
        """The standard deviation of the logarithms of the means of channels that are ever active."""
        mean = self.table["mean"]
        return float(np.log(mean[mean > 0]).std())

    @property
    def distance(self) -> float:
        """The median distance of a mean from one."""
        return float((self.table["mean"] - 1).abs().median())

    @property
    def within(self) -> float:
        """The share of channels whose mean lies within three standard errors of one."""
        return float((self.table["z"].abs() <= 3).mean())

    @property
    def normalised(self) -> bool:
        error = float(self.table["standard_error"].median())
        return self.distance <= NEAR + SHIFT * error and self.spread <= SCATTER

    @property
    def verdict(self) -> str:
        return "normalised" if self.normalised else "NOT normalised"

    @property
    def words(self) -> str:
        """The clause that follows the verdict and the number of images."""
        return (
            f"the mean of {self.within:.1%} of {len(self.table):,} channels lies within three standard "
            f"errors of one; best by {self.candidate}"
        )

    @property
    def unexplained(self) -> pd.DataFrame:
        """The channels that are not explained, the worst first."""
        table = self.table
        off = table[~table["explained"]]
        return off.assign(by=off["z"].abs().fillna(np.inf)).sort_values("by", ascending=False, kind="stable")


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
        "audit_unexplained": len(best.unexplained),
        "audit_images": images,
    }
