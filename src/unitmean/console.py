"""Consoles: with colours and progress bars on a terminal, with plain lines elsewhere."""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 200  # columns, where there is no terminal to fit


def lively(*, stderr: bool = False) -> bool:
    """Whether stdout or stderr is a terminal that takes control codes, and nobody forbade them.

    https://no-color.org: NO_COLOR forbids them unless it is empty.
    """
    dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    return _terminal(stderr) and not dumb and not os.environ.get("NO_COLOR")


def console(*, stderr: bool = False) -> "Console":
    """A console on stdout or stderr as they are now, which writes no control code unless it is lively."""
    from rich.console import Console  # takes a tenth of a second

    if lively(stderr=stderr):
        return Console(highlight=False, stderr=stderr)
    width = None if _terminal(stderr) else WIDTH
    return Console(
        highlight=False, stderr=stderr, width=width, force_terminal=False, color_system=None, no_color=True
    )


def _terminal(stderr: bool) -> bool:
    return (sys.stderr if stderr else sys.stdout).isatty()
