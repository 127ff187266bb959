"""What a source of images is: its name, the settings that it needs, and a function that finds the images.

Importing a source must be quick, since the configuration's schema imports them all: a source imports what it
works with inside its functions.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitmean.errors import DataError

if TYPE_CHECKING:
    from unitmean.pipeline.index.containers import Container
    from unitmean.pipeline.index.entries import Entry
    from unitmean.pipeline.index.kinds import LeftOut


@dataclass(frozen=True)
class Request:
    """What a source may use: the settings `dataset.*`, the project's root, a folder for files it makes."""

    dataset: Any
    root: Path
    folder: Path


@dataclass(frozen=True)
class Found:
    """One container, the images in it, and what else it holds.

    `made`: the source itself made the container, in the folder for such files.
    """

    container: "Container"
    entries: "list[Entry]"
    left_out: "LeftOut"
    made: bool = False


def look_into(container: "Container", *, made: bool = False) -> Found:
    """The images of a container; DataError where there is none, or where one can't be read in place."""
    from unitmean.pipeline.index.containers import listing

    found = listing(container)
    return Found(container, found.entries, found.left_out, made)


def nothing_known(names: Iterable[str], expected: int) -> str:
    """The default of `ImageSource.missing`: it isn't known which images are missing."""
    return ""


@dataclass(frozen=True)
class ImageSource:
    """One value of dataset.source.

    `needs` are the keys of `dataset` that must be given with it, `reads` others that not every source reads.
    `expected` is how many images there must be where dataset.expected is null, and `missing` says in words
    which of them are not among the names found.
    """

    name: str
    help: str
    needs: tuple[str, ...]
    find: Callable[[Request], list[Found]]
    expected: int | None = None
    missing: Callable[[Iterable[str], int], str] = nothing_known
    reads: tuple[str, ...] = ("labels",)


def existing(request: Request) -> "Container":
    """Where dataset.path leads from the project's root; DataError if it is null or nothing is there."""
    from unitmean.pipeline.disk.remote import Remote, is_remote

    path = given(request)
    # An absolute path is not joined to the root. Shells leave the ~ of `dataset.path=~/images` as it is.
    found = Remote(path) if is_remote(path) else request.root / Path(path).expanduser()
    if not found.exists():
        raise DataError(
            f"dataset.path must be a folder or an archive of images; found nothing at {str(found)!r}: "
            "correct it; relative paths start at the project's root"
        )
    return found


def given(request: Request) -> str:
    """The value of dataset.path; DataError if it is null."""
    path: str | None = request.dataset.path
    if path is None:
        raise DataError(
            f"dataset.source={request.dataset.source} needs a folder or an archive of images; found "
            "dataset.path=null: add the override dataset.path=/where/the/images/are"
        )
    return path
