"""One image in a container, and its name as text."""

from dataclasses import dataclass
from pathlib import Path

from unitmean.errors import DataError
from unitmean.pipeline.disk.remote import Remote


@dataclass(frozen=True)
class Entry:
    """One image in a container: its name there, and where its `size` bytes lie.

    `offset` is their place in a tar or zip, or the row's number in Parquet; None for a file in a folder and
    for a compressed member of a zip.
    """

    name: str
    offset: int | None
    size: int


def escaped(name: str) -> str:
    """A name as text that can be stored: bytes that aren't UTF-8 stand as \\xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def refusal(container: Path | Remote, name: str, found: str) -> DataError:
    """The error for an image that can't be read where it lies."""
    return DataError(
        f"images must be plain files with a name of their own; found {found} for {name!r} "
        f"in {str(container)!r}: pack the images again, or give the extracted folder"
    )
