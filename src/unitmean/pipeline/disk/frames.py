"""Parquet tables with a row for each channel, and provenance: written atomically, checked on reading."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unitmean.disk.atomic import writing
from unitmean.errors import DataError, refusing

METADATA = b"unitmean"
"""The key of a table's provenance, as JSON."""

UNRECORDED = "no record of how it was made, as where another program wrote it"


class Table:
    """A Parquet file that is written frame by frame; `provenance` may be set until it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None
        self.provenance: Mapping[str, Any] = {}

    def write(self, frame: pd.DataFrame) -> None:
        """Add rows; they are a row group of their own."""
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        self._writer = self._writer or pq.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        """Write the provenance, as JSON, and the file's end."""
        if self._writer is not None:
            text = json.dumps(dict(self.provenance), sort_keys=True, allow_nan=False)
            self._writer.add_key_value_metadata({METADATA.decode(): text})
            self._writer.close()


@contextmanager
def writing_table(path: Path) -> Iterator[Table]:
    """A table that appears at `path` when it is whole; equal frames give equal bytes."""
    with writing(path) as temporary, closing(Table(temporary)) as table:
        yield table


def write_parquet(path: Path, frames: Iterable[pd.DataFrame], metadata: Mapping[str, Any]) -> None:
    """Write frames one after another as one table with JSON provenance."""
    with writing_table(path) as table:
        table.provenance = metadata
        for frame in frames:
            table.write(frame)


def row_groups(path: Path, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Yield these columns of each row group, in the order in which they were written."""
    with refusing(lambda error: _unusable(path, columns, (), str(error))), pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=list(columns)).to_pandas()


def read_parquet(
    path: Path, numbers: Sequence[str], text: Sequence[str] = ("site",)
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A table and its provenance; DataError unless it has rows, and these columns of numbers and of text."""
    with refusing(lambda error: _unusable(path, numbers, text, str(error))), pq.ParquetFile(path) as file:
        table = file.read()
        table.validate(full=True)
        provenance = _provenance(file)
        frame = table.to_pandas()
    types = dict(zip(table.column_names, table.schema.types, strict=True))
    fits = all(name in types and _is_number(types[name]) for name in ("channel", *numbers))
    fits &= all(name in types and _is_text(types[name]) for name in text)
    if not fits or not len(frame):
        columns = ", ".join(f"{name} {type}" for name, type in types.items())
        raise _unusable(path, numbers, text, f"{len(frame)} rows of {columns}")
    if not isinstance(provenance, dict):
        raise _unusable(path, numbers, text, UNRECORDED)
    return frame, provenance


def read_provenance(path: Path) -> dict[str, Any]:
    """A table's provenance, without reading its rows; DataError as of `read_parquet`."""
    with refusing(lambda error: _unusable(path, (), (), str(error))), pq.ParquetFile(path) as file:
        provenance = _provenance(file)
    if not isinstance(provenance, dict):
        raise _unusable(path, (), (), UNRECORDED)
    return provenance


def _provenance(file: pq.ParquetFile) -> Any:
    # The Arrow schema lacks what was added after the file was begun.
    return json.loads((file.metadata.metadata or {}).get(METADATA, b"null"))


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
