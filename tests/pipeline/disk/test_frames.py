"""Tables between stages: read only as they were written."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unitmean.errors import DataError
from unitmean.pipeline.disk.frames import read_parquet, write_parquet

FRAME = pd.DataFrame({"site": ["relu1", "relu2"], "channel": [0, 0], "mean": [0.5, 2.0]})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", [FRAME, FRAME], {"k": "v"})
    frame, provenance = read_parquet(tmp_path / "a.parquet", ("mean",))
    pd.testing.assert_frame_equal(frame, pd.concat([FRAME, FRAME], ignore_index=True))
    assert provenance == {"k": "v"}


@pytest.mark.parametrize(
    "broken",
    [
        lambda path: None,
        lambda path: path.write_bytes(b"no Parquet"),
        lambda path: path.write_bytes(path.with_name("whole").read_bytes()[:-200]),
        lambda path: pq.write_table(pa.table(FRAME.drop(columns="mean")), path),
        lambda path: pq.write_table(pa.table(FRAME.astype({"mean": str})), path),
        lambda path: pq.write_table(pa.table(FRAME.assign(site=1)), path),
        lambda path: pq.write_table(pa.table(FRAME.head(0)), path),
        lambda path: pq.write_table(pa.table(FRAME), path),
        lambda path: pq.write_table(pa.table(FRAME).replace_schema_metadata({b"unitmean": b"[1]"}), path),
        lambda path: pq.write_table(pa.table(FRAME).replace_schema_metadata({b"unitmean": b"{"}), path),
    ],
    ids=["none", "text", "cut", "column", "type", "site", "empty", "rewritten", "list", "metadata"],
)
def test_anything_else_is_refused_by_name(tmp_path: Path, broken: Callable[[Path], object]) -> None:
    write_parquet(tmp_path / "whole", [FRAME], {})
    broken(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"numbers in channel, mean; found in '.*a\.parquet'.*dvc repro"):
        read_parquet(tmp_path / "a.parquet", ("mean",))
