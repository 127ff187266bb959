"""The index of a data set: one row an image, in an order that depends only on the images and a seed."""

import csv
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from unitmean.decode import UndecodableError, decode_stored, to_rgb
from unitmean.disk.atomic import writing
from unitmean.disk.progress import watched
from unitmean.errors import DataError, refusing
from unitmean.pipeline.disk.ahead import ahead
from unitmean.pipeline.disk.remote import Remote, is_remote
from unitmean.pipeline.index.containers import Container, Reader, read_bytes
from unitmean.pipeline.index.entries import Entry

SCHEMA = pa.schema(
    [
        pa.field("container", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("offset", pa.int64()),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("mode", pa.string(), nullable=False),
        pa.field("label", pa.string()),
    ]
)


@dataclass(frozen=True)
class Row:
    """One image: where its bytes lie, their sha256, its pixels, its mode as stored, its class or None."""

    container: str
    name: str
    offset: int | None
    size: int
    sha256: str
    width: int
    height: int
    mode: str
    label: str | None


@dataclass(frozen=True)
class Skipped:
    """An image that doesn't decode, or the first of some files that are no images, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Index:
    """The images in hash order; `root` is the folder that relative containers lie in."""

    rows: tuple[Row, ...]
    root: Path

    def __len__(self) -> int:
        return len(self.rows)

    def head(self, n: int | None) -> "Index":
        """The first n images, for None all; a head contains all smaller ones. DataError if too few."""
        if n is None:
            return self
        if not 1 <= n <= len(self):
            raise DataError(
                f"dataset.subset must lie between 1 and the {len(self)} images of the data set, "
                f"or be null for all; found {n!r}: choose another, or add images"
            )
        return replace(self, rows=self.rows[:n])

    def read(self, row: Row) -> bytes:
        """The image's bytes; DataError if they are not those that were indexed."""
        return self.read_all([row])[0]

    def read_all(self, rows: Sequence[Row]) -> list[bytes]:
        """The bytes of some images, as by `read`; faster than one by one, as archives stay open."""
        places = {name: place(name, self.root) for name in {row.container for row in rows}}
        with Reader() as reader:
            return [
                _checked(reader.read(places[row.container], Entry(row.name, row.offset, row.size)), row)
                for row in rows
            ]


def _checked(data: bytes, row: Row) -> bytes:
    found = hashlib.sha256(data).hexdigest()
    if found != row.sha256:
        raise DataError(
            f"image {row.name!r} in {row.container!r} must have the index's sha256 {row.sha256[:12]!r}…; "
            f"found {found[:12]!r}…: it changed since it was indexed, run `dvc repro -f index_images`"
        )
    return data


def index_hash(index: Index) -> str:
    """sha256 over the images' sha256s, in order: the identity of what was measured."""
    return hashlib.sha256("".join(row.sha256 for row in index.rows).encode()).hexdigest()


def build_rows(
    container: Container, entries: Iterable[Entry], recorded: str, *, seed: int, skip: bool
) -> tuple[list[Row], list[Skipped]]:
    """The rows of one container's images, by `build_rows_of`."""
    return build_rows_of([(container, list(entries), recorded)], seed=seed, skip=skip)


def build_rows_of(
    parts: Sequence[tuple[Container, Sequence[Entry], str]], *, seed: int, skip: bool
) -> tuple[list[Row], list[Skipped]]:
    """Decode every image of some containers once and describe it, in hash order.

    The text with each container is its path in the rows. An image that does not decode raises
    UndecodableError or, with `skip`, is listed; DataError if none is left.
    """
    images = [(container, recorded, entry) for container, entries, recorded in parts for entry in entries]
    found: list[Row | Skipped] = []
    with closing(ahead(partial(_examine, skip), images)) as results:
        found.extend(watched(results, len(images), "indexing", "images"))
    rows = [row for row in found if isinstance(row, Row)]
    if not rows:
        raise DataError(
            f"at least one image in {parts[0][2]!r} must decode; found none of {len(images)}, "
            f"the first is {images[0][2].name!r}: check dataset.path"
        )
    return sorted(rows, key=partial(_rank, seed)), [
        skipped for skipped in found if isinstance(skipped, Skipped)
    ]


def write_index(path: Path, rows: Iterable[Row]) -> None:
    """Write Parquet; equal rows give equal bytes."""
    columns = zip(*(astuple(row) for row in rows), strict=True)
    with writing(path) as temporary:
        pq.write_table(pa.table(list(columns), schema=SCHEMA), temporary)


def write_skipped(path: Path, skipped: Iterable[Skipped]) -> None:
    """Write CSV with the header name,reason."""
    with writing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["name", "reason"])
        table.writerows(astuple(row) for row in skipped)


def load_index(path: Path, root: Path | None = None) -> Index:
    """The index at `path`; relative containers lie in `root`, by default the project that holds `path`."""
    with (
        refusing(
            lambda error: DataError(
                f"an index must be a Parquet file that index_images wrote; found at {str(path)!r}: {error}; "
                "run `dvc repro -f index_images`"
            )
        ),
        pq.ParquetFile(path) as file,
    ):
        table = file.read()
        table.validate(full=True)  # else damaged text would go unnoticed until it is used
        expected, found = (_columns(schema) for schema in (SCHEMA, table.schema))
        rows = table.to_pylist() if found == expected else []
    if found != expected:
        raise DataError(
            f"an index must have the columns {', '.join(expected)}; found {', '.join(found)} "
            f"in {str(path)!r}: run `dvc repro -f index_images`"
        )
    return Index(tuple(Row(**row) for row in rows), root or _project(path))


def _columns(schema: pa.Schema) -> list[str]:
    """Name and type of each column, with "?" where values may be missing."""
    return [f"{field.name} {field.type}{'?' if field.nullable else ''}" for field in schema]


def recorded_path(container: Container, root: Path) -> str:
    """How the index names a container: relative to the project inside it, so that it holds in copies."""
    if isinstance(container, Remote):
        return container.url
    absolute, root = Path(os.path.abspath(container)), Path(os.path.abspath(root))
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else str(absolute)


def place(recorded: str, root: Path) -> Container:
    """The inverse of `recorded_path`."""
    return Remote(recorded) if is_remote(recorded) else root / recorded


def _examine(skip: bool, source: tuple[Container, str, Entry]) -> Row | Skipped:
    container, recorded, entry = source
    data = read_bytes(container, entry)
    try:
        image = decode_stored(data, entry.name)
        mode = image.mode
        to_rgb(image, entry.name)  # some modes load and still have no RGB
    except UndecodableError as error:
        if not skip:
            raise
        return Skipped(entry.name, error.reason)
    digest, label = hashlib.sha256(data).hexdigest(), named_class(entry.name)
    return Row(recorded, entry.name, entry.offset, entry.size, digest, *image.size, mode, label)


def _rank(seed: int, row: Row) -> tuple[bytes, str, str]:
    """The key of hash order. In the order of names the first images would be of few classes."""
    return hashlib.sha256(f"{seed}{row.sha256}".encode()).digest(), row.name, row.container


def named_class(name: str) -> str | None:
    """The synset or the class's number that an image's name holds, or None.

    A synset, such as n01440764, names one of its folders or begins the name of the file, as in ImageNet; a
    number from 0 to 999 names one of its folders.
    """
    *folders, file = PurePosixPath(name).parts
    for folder in reversed(folders):
        if re.fullmatch(r"n\d{8}|0|[1-9]\d{0,2}", folder):
            return folder
    match = re.match(r"(n\d{8})_", file)
    return match[1] if match else None


def _project(path: Path) -> Path:
    """The folder above `path` with dvc.yaml, else the working directory, from which DVC runs every stage."""
    above = (folder for folder in Path(os.path.abspath(path)).parents if (folder / "dvc.yaml").is_file())
    return next(above, Path.cwd())
