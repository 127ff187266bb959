"""One input, the command it is given to, and what must come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """`make` writes the input into a project; `outcome` is words or, where it is refused, a pattern.

    An accepted input has a `check`, which looks at what was written.
    """

    what: str
    make: Callable[[Path], object]
    command: str
    outcome: str
    more: tuple[str, ...] = ()
    check: Callable[[Path], None] | None = None

    @property
    def refused(self) -> bool:
        return self.check is None
