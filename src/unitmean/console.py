"""Where somebody watches: colours and progress. Elsewhere: plain lines."""

import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 200  # columns, where there is no terminal to fit


def lively(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that takes control codes, and nobody forbade them (https://no-color.org)."""
    dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    return stream.isatty() and not dumb and not os.environ.get("NO_COLOR")


def console(*, stderr: bool = False) -> "Console":
    """A console on stdout or stderr as they are now, which writes no control code unless it is lively."""
    from rich.console import Console  # takes a tenth of a second

    stream = sys.stderr if stderr else sys.stdout
    if lively(stream):
        return Console(highlight=False, stderr=stderr)
    width = None if stream.isatty() else WIDTH
    return Console(
        highlight=False, stderr=stderr, width=width, force_terminal=False, color_system=None, no_color=True
    )
