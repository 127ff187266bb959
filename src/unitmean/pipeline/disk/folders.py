"""Folders: all their files, and folders that appear under their final names whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unitmean.disk.atomic import explained
from unitmean.disk.leftovers import claimed, prefix, sweep
from unitmean.errors import DataError


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`; it takes the place of `path` on success and is removed on failure.

    Temporary folders that killed processes left for the same path are removed first. Raises DiskError.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        around = Path(tempfile.mkdtemp(prefix=prefix(path.name), dir=path.parent))
        # In a folder of its own, because mkdtemp's is private and this one has the usual permissions.
        fresh, old = around / "new", around / "old"
        try:
            with claimed(around):
                fresh.mkdir()
                yield fresh
                if path.exists():
                    path.rename(old)
                fresh.rename(path)
        finally:
            shutil.rmtree(around)


@contextmanager
def filling_folder(path: Path) -> Iterator[Path]:
    """As `writing_folder`; but an empty folder that is there stays: somebody may be working in it."""
    if not path.exists():
        with writing_folder(path) as fresh:
            yield fresh
        return
    with writing_folder(path / "new") as fresh:
        yield fresh
    with explained(path):
        for inside in (path / "new").iterdir():
            inside.rename(path / inside.name)
        (path / "new").rmdir()


def write_nothing(path: Path, words: str) -> None:
    """A folder that holds no more than the words that say why; DVC warns of empty folders."""
    with writing_folder(path) as folder:
        (folder / "nothing.txt").write_text(f"{words}\n", encoding="utf-8")


def bytes_below(folder: Path) -> int:
    """What the files of a folder take, each once, however many names it has there; links are not followed."""
    paths = (Path(above, name) for above, _, names in os.walk(folder) for name in names)
    files = {(facts.st_dev, facts.st_ino): facts.st_size for facts in map(os.lstat, paths)}
    return sum(files.values())


def walk(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """All files below `folder`, those of linked folders too: data sets are often put together so.

    A folder whose name starts with a dot is yielded itself, without its files.
    """
    real = folder.resolve()
    if real in above:
        raise DataError(f"folders must not lie in themselves; found the link {str(folder)!r}: remove it")
    for path in folder.iterdir():
        if path.is_dir() and not path.name.startswith("."):
            yield from walk(path, (*above, real))
        else:
            yield path
