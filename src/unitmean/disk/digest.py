"""Digests of files."""

import hashlib
from pathlib import Path


def stamp(path: Path) -> str | None:
    """What changes with a file's bytes, or with the files in a folder; None where nothing lies there.

    A file's is its sha256. A folder's is one of the names, sizes and times of change of all files in it.
    """
    path = path.expanduser()
    if path.is_file():
        return sha256(path)
    if not path.is_dir():
        return None
    files = sorted(file for file in path.rglob("*") if file.is_file())
    rows = [(str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def sha256(path: Path) -> str:
    """A file's sha256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
