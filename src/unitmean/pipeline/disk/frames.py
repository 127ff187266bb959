"""Tables of a row a channel as Parquet, with provenance: written whole, read only as they were written."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unitmean.disk.atomic import writing
from unitmean.errors import DataError, refusing

METADATA = b"unitmean"
"""The key of a table's provenance, as JSON."""


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


def read_parquet(
    path: Path, numbers: Sequence[str], text: Sequence[str] = ("site",)
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A table and its provenance; DataError unless it has rows, and these columns of numbers and of text."""
    with refusing(lambda error: _unusable(path, numbers, text, str(error))), pq.ParquetFile(path) as file:
        table = file.read()
        table.validate(full=True)
        provenance = json.loads((table.schema.metadata or {}).get(METADATA, b"{}"))
        frame = table.to_pandas()
    types = dict(zip(table.column_names, table.schema.types, strict=True))
    fits = all(name in types and _is_number(types[name]) for name in ("channel", *numbers))
    fits &= all(name in types and _is_text(types[name]) for name in text)
    if not fits or not len(frame) or not isinstance(provenance, dict):
        columns = ", ".join(f"{name} {type}" for name, type in types.items())
        raise _unusable(path, numbers, text, f"{len(frame)} rows of {columns}")
    return frame, provenance


def _is_number(type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type) or pa.types.is_floating(type))


def _is_text(type: pa.DataType) -> bool:
    return bool(pa.types.is_string(type) or pa.types.is_large_string(type))


def _unusable(path: Path, numbers: Sequence[str], text: Sequence[str], found: str) -> DataError:
    return DataError(
        f"a table must be Parquet with rows, text in {', '.join(text)} and numbers in "
        f"{', '.join(('channel', *numbers))}; found in {str(path)!r}: {found}. Remove it and "
        "run `dvc repro`, which writes it again"
    )
