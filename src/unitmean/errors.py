"""The errors a user may meet.

UnitmeanError
├── ConfigError      a parameter is missing, misspelt, of the wrong type or out of step with conf/
├── DataError        an image, archive, folder or index can't be used
├── WeightsError     a weights file can't be used: layout, shapes, hash, values
├── DownloadError    a download failed
├── NetworkError     a network can't be built or analysed
├── DiskError        a file or folder can't be written
└── InvarianceError  a rescaled network is not what it must be

Every message says what must hold, what was found, and what to do about it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class UnitmeanError(Exception):
    """Base of all errors of this package; a stage prints its message and exits with status 1."""


class ConfigError(UnitmeanError):
    """A parameter is missing, misspelt, of the wrong type or out of step with conf/."""


class DataError(UnitmeanError):
    """An image, archive, folder or index can't be used."""


class WeightsError(UnitmeanError):
    """A weights file can't be used: its layout, shapes, hash or values."""


class DownloadError(UnitmeanError):
    """A download failed."""


class NetworkError(UnitmeanError):
    """A network can't be built or analysed."""


class DiskError(UnitmeanError):
    """A file or folder can't be written."""


class InvarianceError(UnitmeanError):
    """A rescaled network is not what it must be."""


def in_words(error: OSError, name: str) -> str:
    """The message for an error of the operating system, such as a full disk; `name` is the program's."""
    where = f" at {error.filename!r}" if error.filename else ""
    return (
        f"{name} must be able to read and write files; found{where}: {error.strerror or error}; "
        "make room, or set it right, and run the same command again"
    )


@contextmanager
def refusing(refusal: Callable[[Exception], UnitmeanError]) -> Iterator[None]:
    """Any error that a library raises of a damaged file becomes `refusal(error)`.

    UnitmeanError, and MemoryError, which is no fault of the file, pass unchanged.
    """
    try:
        yield
    except (UnitmeanError, MemoryError):
        raise
    except Exception as error:
        raise refusal(error) from error
