"""The tables that the report shows of an audit of the fetched weights."""

from collections.abc import Hashable
from typing import Any

import pandas as pd

from unitmean.pipeline.report.gather import Audit

SHOWN = 12  # channels listed


def layers(audit: Audit) -> list[dict[Hashable, Any]]:
    """A row a layer: number of channels, median, 5% and 95% quantile of their means, number unexplained.

    Of channels that share a factor the mean is the one that they share.
    """
    by = audit.means.groupby("site", sort=False)
    table = pd.DataFrame(
        {
            "channels": by.size(),
            "median": by["shared_mean"].median(),
            "low": by["shared_mean"].quantile(0.05),
            "high": by["shared_mean"].quantile(0.95),
            "unexplained": by.size() - by["explained"].sum(),
        }
    )
    return table.reset_index().to_dict("records")


def unexplained(audit: Audit) -> list[dict[Hashable, Any]]:
    """The worst channels that are off by more than sampling explains; those never active come first."""
    off = audit.means[~audit.means["explained"]]
    worst = off.assign(by=off["z"].abs()).sort_values(
        "by", ascending=False, kind="stable", na_position="first"
    )
    return worst.head(SHOWN).to_dict("records")
