"""Zip archives, read in place: stored members by their offset, packed ones through zipfile."""

import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from unitmean.errors import DataError, refusing
from unitmean.pipeline.disk.remote import Remote
from unitmean.pipeline.index.entries import Entry, refusal
from unitmean.pipeline.index.kinds import START, LeftOut, by_suffix, hidden, is_image

SUFFIX = ".zip"
MAGIC = (b"PK\x03\x04", b"PK\x05\x06")  # of an archive with members, and of an empty one
LARGEST = 1 << 30  # bytes: more than any image that is decoded here; a packed member may claim anything
ENCRYPTED = 1  # a member's flag
# PKWARE's APPNOTE.TXT, 4.3.7: a local header's 30 bytes end with the lengths of name and extra.
HEADER = struct.Struct("<4s22xHH")


def list_zip(path: Path | Remote) -> tuple[list[Entry], LeftOut]:
    """The images of a zip; DataError where it isn't whole, or one of them can't be read in place."""
    if path.suffix.lower() != SUFFIX:
        raise DataError(f"a zip must have a name that ends in {SUFFIX}; found {str(path)!r}: rename it")
    entries, others = dict[str, Entry](), LeftOut()
    with _whole(path), path.open("rb") as file, zipfile.ZipFile(file) as archive:
        _require_all(path, file, archive)
        for member in archive.infolist():
            name = member.filename
            if member.is_dir():
                continue
            if hidden(name) or not (by_suffix(name) or _starts_as_image(archive, member)):
                others.add(name)
                continue
            if found := _unreadable(member):
                raise refusal(path, name, found)
            if name in entries:
                raise refusal(path, name, "the same name twice")
            entries[name] = Entry(name, _offset(path, file, member), member.file_size)
    return list(entries.values()), others


def read_member(path: Path | Remote, name: str) -> bytes:
    """The bytes of a packed member; DataError where it is damaged or gone."""
    with _whole(path):
        return _opened(path, path.stat().st_mtime_ns if isinstance(path, Path) else 0).read(name)


@lru_cache(maxsize=8)
def _opened(path: Path | Remote, changed: int) -> zipfile.ZipFile:
    """An archive, kept open as opening reads its list of members; `changed` tells its versions apart.

    Threads may read one archive together.
    """
    return zipfile.ZipFile(path if isinstance(path, Path) else path.open("rb"))


def _require_all(path: Path | Remote, file: Any, archive: zipfile.ZipFile) -> None:
    """DataError where members lie in front of the first one listed, as in zips that `cat` joined.

    Of these zipfile lists the last one's members alone.
    """
    first = min((member.header_offset for member in archive.infolist()), default=0)
    if first and {_start(file, 0), _start(file, first)} == {MAGIC[0]}:
        raise DataError(
            f"a zip must list all its members; found {str(path)!r} to list none of the first {first} bytes, "
            "which hold others: several zips joined by cat, or members that were deleted; pack the images "
            "again, or give the extracted folder"
        )


def _start(file: Any, place: int) -> bytes:
    """The magic number of what lies at a place."""
    file.seek(place)
    return bytes(file.read(len(MAGIC[0])))


def _offset(path: Path | Remote, file: Any, member: zipfile.ZipInfo) -> int | None:
    """Where a stored member's bytes begin; None for a packed one."""
    if member.compress_type != zipfile.ZIP_STORED:
        return None
    file.seek(member.header_offset)
    magic, name, extra = HEADER.unpack(file.read(HEADER.size))
    if magic != MAGIC[0] or member.compress_size != member.file_size:
        raise refusal(path, member.filename, "no header")
    return int(member.header_offset + HEADER.size + name + extra)


def _unreadable(member: zipfile.ZipInfo) -> str:
    """Why a member can't be read, in words."""
    if member.filename.startswith("/") or ".." in PurePosixPath(member.filename).parts:
        return "a name that leads out of the archive"
    if member.flag_bits & ENCRYPTED:
        return "a member that needs a password"
    if member.file_size > LARGEST:
        return f"a member that claims {member.file_size:,} bytes"
    return ""


def _starts_as_image(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    if member.flag_bits & ENCRYPTED:
        return False
    with archive.open(member) as file:
        return is_image(file.read(START))


@contextmanager
def _whole(path: Path | Remote) -> Iterator[None]:
    with refusing(
        lambda error: DataError(
            f"dataset.path must be a whole zip; {str(path)!r} isn't: {str(error) or type(error).__name__}; "
            "it must have been cut or damaged: compare its size and hash with the original's, or get it again"
        )
    ):
        yield
