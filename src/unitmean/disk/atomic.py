"""Files appear under their final names whole or not at all."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from unitmean.disk.leftovers import claimed, prefix, sweep
from unitmean.errors import DiskError

# What the user can do about a failed write, by the error's number.
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room there"),
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`)",
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "make its folder writable"),
    **dict.fromkeys(
        (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY), "move what is in its way elsewhere"
    ),
}


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; flushed and renamed to it on success, removed on failure.

    Temporary files that killed processes left for the same path are removed first. Raises DiskError.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.stem, path.suffix)
        # The temporary name keeps the suffix, since writers choose their format by it.
        handle, name = tempfile.mkstemp(prefix=prefix(path.stem), suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            with claimed(temporary):
                yield temporary
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
                temporary.chmod(0o666 & ~_umask())
                temporary.replace(path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()


def written_over(path: Path, read: Iterable[Path]) -> Path | None:
    """The first of the files `read` that writing `path` would replace; None where it replaces none."""
    # Resolved, too, as a folder on the way may not be there yet: new/../file is the file.
    target = path.resolve()
    return next(
        (file for file in read if file.exists() and (target == file.resolve() or _same(path, file))), None
    )


def _same(path: Path, file: Path) -> bool:
    """Whether both exist and are one file, by two names perhaps."""
    return path.exists() and path.samefile(file)


def remove(path: Path, *, folder: bool) -> None:
    """Remove a file, or a `folder` with all that it holds, or a link to one, if it is there.

    Raises DiskError, too where a folder is in a file's place: who made it may want it back.
    """
    with explained(path):
        if folder and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def require_writable(path: Path) -> None:
    """DiskError unless a file can be written at `path`; makes its folder. To be called before long work."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        with tempfile.TemporaryFile(dir=path.parent):
            pass


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of writing `path` into DiskError; errors of reading other files pass."""
    try:
        yield
    except OSError as error:
        # tempfile's names are absolute.
        here = Path(os.path.abspath(path.parent))
        elsewhere = error.filename is not None and here not in Path(os.path.abspath(error.filename)).parents
        if error.errno not in REMEDIES or (elsewhere and error.filename != str(path.parent)):
            raise
        raise DiskError(
            f"{str(path)!r} must be written; found: {os.strerror(error.errno)}; "
            f"{REMEDIES[error.errno]} and run the same command again"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys, indented; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
