"""How a program ends that something stopped: one line, and a status."""

import signal
import sys
from collections.abc import Callable
from typing import Any

from unitmean.errors import UnitmeanError, in_words

FAILED = 1  # after an error that the user can mend
INTERRUPTED = 130  # what shells report for a program ended by Ctrl-C

_pressed = False


def note_interruptions() -> None:
    """Remember Ctrl-C from now on, whatever a library makes of it; `ending_in_words` forgets it again.

    Some swallow it, and torch's storages make a ValueError of it. Whoever ignores Ctrl-C, as programs in the
    background do, or has other plans for it, keeps them.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _note)


def interrupted(error: BaseException) -> bool:
    """Whether Ctrl-C is behind an error."""
    return _pressed or isinstance(error, KeyboardInterrupt)


def ending_in_words(name: str, work: Callable[[], int]) -> int:
    """The status of `work`, or what stopped it on stderr and the status for that; `name` is the program's.

    Errors that are not ours pass.
    """
    note_interruptions()
    try:
        if _pressed:  # while importing, and swallowed
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
