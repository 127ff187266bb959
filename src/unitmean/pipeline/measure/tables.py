"""Moments as Parquet: one row a site and channel."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from unitmean.statistics.moments import Moments

# The columns of sums over images, and of the maximum, each with the field of `Moments` that holds it.
SUMS = {
    "sum_mean": "mean",
    "sum_mean_square": "mean_square",
    "sum_square": "square",
    "maximum": "maximum",
    "sum_active": "active",
}


def to_frame(moments: Mapping[str, Moments]) -> pd.DataFrame:
    """Columns site, channel, images and `SUMS`; histogram where activations were counted."""
    return pd.concat(
        [
            pd.DataFrame(
                {"site": site, "channel": range(len(m.mean)), "images": m.images}
                | {column: getattr(m, name).numpy() for column, name in SUMS.items()}
                | _counts(m)
            )
            for site, m in moments.items()
        ],
        ignore_index=True,
    )


def from_frame(frame: pd.DataFrame) -> dict[str, Moments]:
    """The inverse of `to_frame`."""
    return {
        str(site): Moments(
            int(rows["images"].iloc[0]),
            histogram=histogram(rows),
            **{name: torch.from_numpy(rows[column].to_numpy(copy=True)) for column, name in SUMS.items()},
        )
        for site, rows in frame.groupby("site", sort=False)
    }


def histogram(rows: pd.DataFrame) -> Float64[Tensor, "channels _"]:
    """One site's histograms; without buckets where the table has none."""
    if "histogram" not in rows:
        return torch.empty(len(rows), 0, dtype=torch.float64)
    return torch.from_numpy(np.stack(list(rows["histogram"]))).double()


def _counts(moments: Moments) -> dict[str, list[Any]]:
    # Whole numbers: Parquet packs them to a fraction of their size.
    counts = moments.histogram.long().numpy()
    return {"histogram": list(counts)} if counts.size else {}


def summary(
    moments: Mapping[str, Moments],
    correction: Mapping[str, Float64[Tensor, " _"]] | None = None,
    error: Mapping[str, Float64[Tensor, " _"]] | None = None,
) -> pd.DataFrame:
    """The statistics that people read, a row a site and channel; histogram as in `to_frame`.

    correction: what the measured means were multiplied by, else one. error: the relative error of the means
    as measured that is due to their precision, where it isn't float32's.
    """
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "site": site,
                    "channel": range(len(m.mean)),
                    "images": m.images,
                    "mean": m.expectation().numpy(),
                    "standard_error": m.standard_error().numpy(),
                    "std": m.deviation().numpy(),
                    "maximum": m.maximum.numpy(),
                    "active_fraction": m.active_fraction().numpy(),
                    "correction": 1.0 if correction is None else correction[site].numpy(),
                    "precision_error": 0.0 if error is None else error[site].numpy(),
                }
                | _counts(m)
            )
            for site, m in moments.items()
        ],
        ignore_index=True,
    )
