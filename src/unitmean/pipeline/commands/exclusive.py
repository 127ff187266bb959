"""One command at a time may set a project's parameters and run what they ask for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unitmean.disk.leftovers import claimed
from unitmean.errors import ConfigError


@contextmanager
def exclusive(root: Path) -> Iterator[tuple[int, ...]]:
    """Keep other commands from the project at `root`; ConfigError where one is at work there.

    DVC's own lock stops the second of two runs too late: params.yaml, which both read, is then changed. The
    handles are for child processes: one that is given them keeps the project even if this process is killed.
    """
    lock = root / ".partial" / "repro.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.touch()
    try:
        with claimed(lock) as held:
            yield () if held is None else (held,)
    except BlockingIOError as error:
        raise ConfigError(
            f"one command at a time must set parameters or run stages in {str(root)!r}; found another at "
            "work: wait for it, or work in another checkout or by `dvc exp run --temp`"
        ) from error
