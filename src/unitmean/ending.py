"""One line and an exit status for a program that is stopped by an error, by Ctrl-C or by another signal."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from unitmean.errors import UnitmeanError, in_words

FAILED = 1  # after an error that the user can mend
INTERRUPTED = 130  # what shells report for a program ended by Ctrl-C
UNREAD = 141  # what they report for one that writes into a pipe which nobody reads any more

# Signals that ask a program to end. Ctrl-C isn't among them: a terminal sends it to all processes.
ENDINGS = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]

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


@contextmanager
def _when_asked_to_end(stop: Callable[[int, Any], None]) -> Iterator[None]:
    """Call `stop(number, frame)` on a signal that asks the program to end, unless it ignores that signal."""
    heeded = [number for number in ENDINGS if signal.getsignal(number) is not signal.SIG_IGN]  # as by nohup
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ending_in_words(name: str, work: Callable[[], int]) -> int:
    """Run `work` and return its exit status; `name` is the program's.

    If Ctrl-C, a UnitmeanError or an OSError stops it, one line on stderr says so, and the status is that of a
    program that was interrupted or has failed. On SIGTERM or SIGHUP it removes its temporary files, says so
    and raises SystemExit with 128 and the signal's number. Where nobody reads its output any more, as behind
    `| head`, it ends without a word. Any other error is a fault of the program and passes.
    """
    asked: list[int] = []

    def leave(number: int, frame: Any) -> None:
        asked.append(number)
        raise SystemExit(128 + number)

    note_interruptions()
    try:
        if _pressed:  # during imports, where a library swallowed it
            raise KeyboardInterrupt
        with _when_asked_to_end(leave):
            return _written(work)
    except SystemExit:
        if asked:
            sent = signal.Signals(asked[0]).name
            print(f"ended by {sent}: {name} left nothing half-written", file=sys.stderr)
        raise
    except (Exception, KeyboardInterrupt) as error:
        if interrupted(error):
            return _end(
                f"interrupted: {name} left nothing half-written; give the same command again", INTERRUPTED
            )
        if isinstance(error, BrokenPipeError):
            return UNREAD
        if isinstance(error, UnitmeanError):
            return _end(f"error: {error}", FAILED)
        if isinstance(error, OSError):
            return _end(f"error: {in_words(error, name)}", FAILED)
        raise
    finally:
        _forget()
        _discard_unread()


def _written(work: Callable[[], int]) -> int:
    """The status of `work`, whose words have left Python's buffer; OSError where they can't be written."""
    try:
        status = work()
    except SystemExit:  # argparse's, behind --help
        _flush()
        raise
    _flush()
    return status


def _discard_unread() -> None:
    """Lead stdout nowhere if it can't be written: at the end Python would complain of what is in its buffer.

    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    try:
        _flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _flush() -> None:
    if sys.stdout is not None and not sys.stdout.closed:  # None where the program was started without one
        sys.stdout.flush()


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
