"""Where images lie: in a folder, in a plain tar, a zip or in Parquet, read in place and never extracted."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from unitmean.decode import FORMATS
from unitmean.errors import DataError
from unitmean.pipeline.disk.folders import walk
from unitmean.pipeline.disk.remote import Remote
from unitmean.pipeline.index import zips
from unitmean.pipeline.index.entries import Entry, escaped, refusal
from unitmean.pipeline.index.kinds import START, LeftOut, by_suffix, hidden, is_image
from unitmean.pipeline.index.tables import SUFFIX, list_table, read_row
from unitmean.pipeline.index.tars import list_tar

Container = Path | Remote

# Archives that one reader keeps open at a time.
KEPT_OPEN = 16
ESCAPED = re.compile(rb"\\x([89a-f][0-9a-f])")


@dataclass(frozen=True)
class Listing:
    """The images of a container, sorted by name, and what else it holds."""

    entries: list[Entry]
    left_out: LeftOut


def list_images(container: Container) -> list[Entry]:
    """The images of a container, by `listing`."""
    return listing(container).entries


def listing(container: Container) -> Listing:
    """The images of a folder and its subfolders or of an archive, by their names' suffixes or first bytes.

    At an address suffixes alone decide about a folder's files, as each look into one would be a request.
    Names in which a component starts with a dot are passed over.
    Raises DataError where there is no image, or where one can't be read in place.
    """
    try:
        entries, others = _list(container)
    except OSError as error:
        raise DataError(
            f"dataset.path must be readable; found {str(container)!r}: {error}; check it and its permissions"
        ) from error
    if not entries:
        raise DataError(
            f"dataset.path must hold images ({', '.join(FORMATS)}); found none in "
            f"{str(container)!r}, but {str(others) or 'no file at all'}: give a folder or an archive "
            "with images"
        )
    return Listing(sorted(entries, key=lambda entry: entry.name), others)


class Reader:
    """Reads images as they lie in their containers; archives stay open until it is closed."""

    def __init__(self) -> None:
        self._open: dict[Path, BinaryIO] = {}

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def read(self, container: Container, entry: Entry) -> bytes:
        """The image's bytes; DataError if they are no longer there."""
        try:
            data = self._read(container, entry)
        except OSError as error:
            where = container / entry.name if entry.offset is None else container
            raise DataError(
                f"image {entry.name!r} must be readable; found {error} at {str(where)!r}: "
                "bring it back, or index again with `dvc repro -f index_images`"
            ) from error
        if len(data) != entry.size:
            raise DataError(
                f"image {entry.name!r} in {str(container)!r} must have {entry.size} bytes; found "
                f"{len(data)}: it changed or was cut since it was listed, run `dvc repro -f index_images`"
            )
        return data

    def _read(self, container: Container, entry: Entry) -> bytes:
        if entry.offset is None and container.suffix.lower() == zips.SUFFIX and not container.is_dir():
            return zips.read_member(container, entry.name)
        if entry.offset is not None and container.suffix.lower() == SUFFIX:
            return read_row(container, entry.offset)
        if isinstance(container, Remote):
            place = container if entry.offset is not None else container / entry.name
            return place.read(entry.offset, entry.size)
        if entry.offset is None:
            # To its end: a file that grew since it was listed must not look unchanged.
            return _file(container, entry.name).read_bytes()
        archive = self._opened(container)
        archive.seek(entry.offset)
        return archive.read(entry.size)

    def _opened(self, path: Path) -> BinaryIO:
        if path not in self._open:
            if len(self._open) == KEPT_OPEN:
                self._open.pop(next(iter(self._open))).close()
            self._open[path] = path.open("rb")
        return self._open[path]


def read_bytes(container: Container, entry: Entry) -> bytes:
    """The bytes of one image, by `Reader`."""
    with Reader() as reader:
        return reader.read(container, entry)


def _file(folder: Path, name: str) -> Path:
    """The file that is listed by this name: its bytes that aren't UTF-8 were written as \\xNN."""
    path = folder / name
    if "\\x" not in name or path.exists():
        return path
    raw = ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), name.encode())
    return folder / os.fsdecode(raw)


def _list(container: Container) -> tuple[list[Entry], LeftOut]:
    if container.is_dir():
        return _list_remote(container) if isinstance(container, Remote) else _list_folder(container)
    if container.suffix.lower() == SUFFIX:
        return [Entry(*row) for row in list_table(container)], LeftOut()
    with container.open("rb") as file:
        start = file.read(4)
    return zips.list_zip(container) if start in zips.MAGIC else list_tar(container)


def _list_remote(folder: Remote) -> tuple[list[Entry], LeftOut]:
    entries, others = [], LeftOut()
    for name, size in folder.files():
        if by_suffix(name) and not hidden(name):
            entries.append(Entry(name, None, size))
        else:
            others.add(name)
    return entries, others


def _list_folder(folder: Path) -> tuple[list[Entry], LeftOut]:
    entries, others = dict[str, Entry](), LeftOut()
    for path in walk(folder):
        name = escaped(path.relative_to(folder).as_posix())
        if hidden(name) or not (by_suffix(name) or _starts_as_image(path)):
            others.add(name)
            continue
        if not path.is_file():
            raise DataError(
                f"a folder's images must be files; found a broken link or no regular file at {str(path)!r}: "
                "remove it, or bring back what it leads to"
            )
        if name in entries:
            raise refusal(folder, name, "the same name twice")
        entries[name] = Entry(name, None, path.stat().st_size)
    return list(entries.values()), others


def _starts_as_image(path: Path) -> bool:
    """Whether its first bytes are an image's; False for what can't be read or is no regular file."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return is_image(file.read(START))
    except OSError:
        return False
