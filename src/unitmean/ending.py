"""One line and an exit status for a program that is stopped by an error or by Ctrl-C."""

import signal
import sys
from collections.abc import Callable
from typing import Any

from unitmean.errors import UnitmeanError, in_words

FAILED = 1  # after an error that the user can mend
INTERRUPTED = 130  # what shells report for a program ended by Ctrl-C

_pressed = False


def note_interruptions() -> None:
    """Remember from now on that Ctrl-C was pressed, even where a library hides it.

    Some libraries swallow KeyboardInterrupt, and torch's storages turn it into a ValueError. A program that
    ignores Ctrl-C, as one in the background does, or that handles it in its own way, is left as it is.
    `ending_in_words` forgets what was remembered.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _note)


def interrupted(error: BaseException) -> bool:
    """Whether the user pressed Ctrl-C, even where it led to another error than KeyboardInterrupt."""
    return _pressed or isinstance(error, KeyboardInterrupt)


def ending_in_words(name: str, work: Callable[[], int]) -> int:
    """Run `work` and return its exit status; `name` is the program's.

    If Ctrl-C, a UnitmeanError or an OSError stops it, one line on stderr says so, and the status is that of a
    program that was interrupted or has failed. Any other error is a fault of the program and passes.
    """
    note_interruptions()
    try:
        if _pressed:  # during imports, where a library swallowed it
            raise KeyboardInterrupt
        return work()
    except (Exception, KeyboardInterrupt) as error:
        if interrupted(error):
            return _end(
                f"interrupted: {name} left nothing half-written; the same command goes on", INTERRUPTED
            )
        if isinstance(error, UnitmeanError):
            return _end(f"error: {error}", FAILED)
        if isinstance(error, OSError):
            return _end(f"error: {in_words(error, name)}", FAILED)
        raise
    finally:
        _forget()


def _note(number: int, frame: Any) -> None:
    global _pressed
    _pressed = True
    signal.default_int_handler(number, frame)


def _forget() -> None:
    global _pressed
    _pressed = False
    if signal.getsignal(signal.SIGINT) is _note:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(words: str, status: int) -> int:
    print(words, file=sys.stderr)
    return status
