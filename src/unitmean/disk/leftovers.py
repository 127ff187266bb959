"""What a killed process leaves under temporary names, and who may remove it."""

import fcntl
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def prefix(stem: str) -> str:
    """How the temporary names begin that stand for a final name with this stem."""
    return f".{stem}-unitmean-"


def sweep(folder: Path, stem: str, suffix: str = "") -> None:
    """Remove what killed writers of `stem` and `suffix` left in `folder`; those at work keep theirs."""
    for path in folder.glob(f"{glob.escape(prefix(stem))}*{glob.escape(suffix)}"):
        # What can't be opened, locked or removed stays: it is in nobody's way.
        with suppress(OSError), claimed(path):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Hold a file or folder; BlockingIOError if somebody does. The system lets go for those who die."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
