"""Temporary files that a killed process leaves behind, and the locks by which others may remove them."""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows, which has no lock that lets a file be renamed
    LOCKS = False
else:
    LOCKS = True


def prefix(stem: str) -> str:
    """The beginning of temporary names for a file whose final name has this stem."""
    return f".{stem}-unitmean-"


def sweep(folder: Path, stem: str, suffix: str = "") -> None:
    """Remove what killed writers of `stem` and `suffix` left in `folder`; those at work keep theirs.

    Without locks nobody can tell the two apart, and everything stays.
    """
    if not LOCKS:
        return
    for path in folder.glob(f"{glob.escape(prefix(stem))}*{glob.escape(suffix)}"):
        # What can't be opened, locked or removed stays: it is in nobody's way.
        with suppress(OSError), claimed(path):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def claimed(path: Path) -> Iterator[int | None]:
    """Lock a file or folder; BlockingIOError if another process has locked it.

    The lock ends with the process that holds it, however that dies. A child process that is given the handle
    holds the lock until it ends, too. On a system without such locks nothing is locked: of two simultaneous
    runs the one that writes last wins.
    """
    if not LOCKS:
        yield None
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        flock(handle, LOCK_EX | LOCK_NB)
        yield handle
    finally:
        os.close(handle)
