"""How a program ends that something stopped: one line, and a status."""

import signal
import sys
from collections.abc import Callable
from typing import Any

from unitmean.errors import UnitmeanError, in_words

FAILED = 1  # after an error that the user can mend
INTERRUPTED = 130  # what shells report for a program ended by Ctrl-C


def ending_in_words(name: str, work: Callable[[], int]) -> int:
    """The status of `work`, or what stopped it on stderr and the status for that; `name` is the program's.

    Errors that are not ours pass. Ctrl-C is what stopped it even where a library made another error of it, as
    torch's storages do.
    """
    pressed = False

    def note(number: int, frame: Any) -> None:
        nonlocal pressed
        pressed = True
        signal.default_int_handler(number, frame)

    # Whoever ignores Ctrl-C, as programs in the background do, or has other plans for it, keeps them.
    noting = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if noting:
        signal.signal(signal.SIGINT, note)
    try:
        return work()
    except (Exception, KeyboardInterrupt) as error:
        if pressed or isinstance(error, KeyboardInterrupt):
            return _end(
                f"interrupted: {name} left nothing half-written; the same command goes on", INTERRUPTED
            )
        if isinstance(error, UnitmeanError):
            return _end(f"error: {error}", FAILED)
        if isinstance(error, OSError):
            return _end(f"error: {in_words(error, name)}", FAILED)
        raise
    finally:
        if noting:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(words: str, status: int) -> int:
    print(words, file=sys.stderr)
    return status
