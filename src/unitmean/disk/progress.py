"""A progress bar for people, and nothing for logs."""

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from unitmean.console import console, lively

PATIENCE = 2.0  # seconds before a bar is shown

T = TypeVar("T")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} {task.fields['unit']}/s" if task.speed else "")


class Bar:
    """A bar with rate and remaining time on stderr once two seconds have passed, if stderr is lively."""

    def __init__(self, what: str, total: int | None, unit: str) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(
            *columns,
            _Rate(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task(what, total=total, unit=unit, note="")
        self._started = time.monotonic()
        self._shown = False

    def advance(self, count: int = 1) -> None:
        self._progress.advance(self._task, count)
        if not self._shown and lively(stderr=True) and time.monotonic() - self._started > PATIENCE:
            self._progress.start()
            self._shown = True

    def note(self, text: str) -> None:
        """Show this text at the bar's end from now on."""
        self._progress.update(self._task, note=text)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._progress.stop()


def watched(items: Iterable[T], total: int, what: str, unit: str) -> Iterator[T]:
    """Yield the items while a bar counts them."""
    with Bar(what, total, unit) as bar:
        for item in items:
            yield item
            bar.advance()
