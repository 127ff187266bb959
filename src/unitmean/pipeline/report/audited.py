"""The tables that the report shows of an audit of the fetched weights."""

from collections.abc import Hashable
from typing import Any

import pandas as pd

from unitmean.pipeline.report.gather import Audit

SHOWN = 12  # channels listed


def layers(audit: Audit) -> list[dict[Hashable, Any]]:
    """A row a layer: channels, those known, their means' median, 5% and 95% quantile, unexplained ones.

    Of channels that share a factor the mean is the one that they share.
    """
    by = audit.means.groupby("site", sort=False)
    known = audit.means[audit.means["known"]].groupby("site", sort=False)["shared_mean"]
    table = pd.DataFrame(
        {
            "channels": by.size(),
            "known": by["known"].sum(),
            "median": known.median(),
            "low": known.quantile(0.05),
            "high": known.quantile(0.95),
            "unexplained": by.size() - by["explained"].sum(),
        }
    )
    return table.loc[audit.means["site"].unique()].rename_axis("site").reset_index().to_dict("records")


def unexplained(audit: Audit) -> list[dict[Hashable, Any]]:
    """The worst channels that are off by more than sampling explains."""
    off = audit.means[~audit.means["explained"]]
    worst = off.assign(by=off["z"].abs()).sort_values(
        "by", ascending=False, kind="stable", na_position="first"
    )
    return worst.head(SHOWN).to_dict("records")
