"""Images whose encoded bytes lie in Parquet, as on the Hugging Face hub."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from unitmean.errors import DataError, refusing
from unitmean.pipeline.disk.remote import Remote

SUFFIX = ".parquet"

# https://huggingface.co/docs/datasets/image_dataset: a column `image` of {bytes, path}. Others: plain bytes.
COLUMNS = ("image.bytes", "image", "bytes", "jpg")


def list_table(path: Path | Remote) -> list[tuple[str, int, int]]:
    """Name, row number and bytes of every image: `image.path` where it is given, else the row number.

    Raises DataError where there is no column of encoded images.
    """
    rows: list[tuple[str, int, int]] = []
    with _opened(path) as file:
        column = _column(file, path)
        for group in range(file.num_row_groups):
            named = ["image.path"] if "image.path" in _leaves(file) else []
            table = file.read_row_group(group, columns=[column, *named])
            for cell in table.column(column.partition(".")[0]).to_pylist():
                data, name = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
                number = len(rows)
                rows.append((f"{number:08d}" + (f"/{name}" if name else ""), number, len(data or b"")))
    return rows


def read_row(path: Path | Remote, row: int) -> bytes:
    """The bytes of one row's image. Parquet reads no less than the row group that it lies in."""
    ends, column = _layout(path)
    group = next((i for i, end in enumerate(ends) if row < end), None)
    if group is None:
        return b""
    cells = _group(path, group, column)
    place = row - (ends[group - 1] if group else 0)
    # A damaged file may hold fewer rows than its footer says.
    return bytes(cells[place].as_py() or b"") if place < len(cells) else b""


@lru_cache(maxsize=1024)
def _layout(path: Path | Remote) -> tuple[tuple[int, ...], str]:
    """Where each row group ends, and the column of bytes."""
    with _opened(path) as file:
        ends, total = [], 0
        for group in range(file.num_row_groups):
            total += file.metadata.row_group(group).num_rows
            ends.append(total)
        return tuple(ends), _column(file, path)


@lru_cache(maxsize=8)  # rows are read one after another while an index is made
def _group(path: Path | Remote, group: int, column: str) -> pa.ChunkedArray:
    with _opened(path) as file:
        cells = file.read_row_group(group, columns=[column]).column(0)
    return pa.compute.struct_field(cells, "bytes") if pa.types.is_struct(cells.type) else cells


def _column(file: pq.ParquetFile, path: Path | Remote) -> str:
    leaves = _leaves(file)
    for name in COLUMNS:
        if leaves.get(name) == "BYTE_ARRAY":
            return name
    raise DataError(
        f"a Parquet file of images must have a column of encoded bytes ({', '.join(COLUMNS)}); found "
        f"{', '.join(leaves)} in {str(path)!r}: rename the column, or choose other files"
    )


def _leaves(file: pq.ParquetFile) -> dict[str, str]:
    columns = (file.schema.column(i) for i in range(len(file.schema)))
    return {column.path: column.physical_type for column in columns}


@contextmanager
def _opened(path: Path | Remote) -> Iterator[pq.ParquetFile]:
    with (
        refusing(
            lambda error: DataError(
                f"dataset.path must lead to whole Parquet files; {str(path)!r} is none: {error}; "
                "compare its size and hash with the original's, or get it again"
            )
        ),
        closing(path.open("rb")) as raw,
        pq.ParquetFile(raw) as file,
    ):
        yield file
