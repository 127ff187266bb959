"""Moments as Parquet: one row a site and channel."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float64
from torch import Tensor

from unitmean.core.moments import Moments
from unitmean.disk.atomic import writing

SUMS = [field.name for field in fields(Moments) if field.name not in {"images", "histogram"}]

METADATA = b"unitmean"
"""The key of a table's provenance, as JSON."""


def to_frame(moments: Mapping[str, Moments]) -> pd.DataFrame:
    """Columns site, channel, images and the sums of `Moments`; histogram where they have one."""
    return pd.concat(
        [
            pd.DataFrame(
                {"site": site, "channel": range(len(m.mean)), "images": m.images}
                | {name: getattr(m, name).numpy() for name in SUMS}
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
            **{name: torch.from_numpy(rows[name].to_numpy(copy=True)) for name in SUMS},
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


def summary(moments: Mapping[str, Moments]) -> pd.DataFrame:
    """The statistics that people read, a row a site and channel; histogram as in `to_frame`."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "site": site,
                    "channel": range(len(m.mean)),
                    "n_images": m.images,
                    "mean": m.expectation().numpy(),
                    "standard_error": m.standard_error().numpy(),
                    "std": m.deviation().numpy(),
                    "max": m.maximum.numpy(),
                    "active_fraction": m.active_fraction().numpy(),
                }
                | _counts(m)
            )
            for site, m in moments.items()
        ],
        ignore_index=True,
    )


def write_parquet(path: Path, frames: Iterable[pd.DataFrame], metadata: Mapping[str, Any]) -> None:
    """Write frames one after another as one table with JSON provenance; equal frames give equal bytes."""
    writer: pq.ParquetWriter | None = None
    with writing(path) as temporary:
        try:
            for frame in frames:
                table = pa.Table.from_pandas(frame, preserve_index=False)
                text = json.dumps(dict(metadata), sort_keys=True, allow_nan=False)
                table = table.replace_schema_metadata({METADATA: text})
                writer = writer or pq.ParquetWriter(temporary, table.schema)
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()


def read_parquet(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A table and its provenance."""
    table = pq.read_table(path, partitioning=None)
    return table.to_pandas(), json.loads((table.schema.metadata or {}).get(METADATA, b"{}"))
