"""The batches that a library call is given, from any loader."""

from collections.abc import Hashable, Iterable, Iterator, Sized
from itertools import chain
from typing import Any

from torch import Tensor

from unitmean.disk.progress import Bar
from unitmean.errors import DataError
from unitmean.graph.inputs import Inputs, shape, tensors

KINDS = 4


class Batches:
    """The model's input from each batch, to be iterated over once; `shown` adds a bar on the terminal.

    Raises DataError where there is no batch, or one doesn't begin with a tensor or a tuple of arguments.
    """

    def __init__(self, batches: Iterable[Any], what: str, shown: bool = False) -> None:
        self._total = len(batches) if isinstance(batches, Sized) else None
        self._what, self.shown = what, shown
        found = (batch if isinstance(batch, Tensor) else _first(batch) for batch in batches)
        first = next(found, None)
        if first is None:
            raise DataError(
                "there must be at least one batch; found none: a generator that was used before is empty"
            )
        self.first: Inputs = first
        self.kinds: dict[Hashable, Inputs] = {}  # the first batch of each of the first few shapes
        self._all = chain([first], found)
        self._bar: Bar | None = None

    def __iter__(self) -> Iterator[Inputs]:
        if not self.shown:
            yield from map(self._kept, self._all)
            return
        with Bar(self._what, self._total, "batches") as self._bar:
            for batch in map(self._kept, self._all):
                yield batch
                self._bar.advance()

    def _kept(self, batch: Inputs) -> Inputs:
        if len(self.kinds) < KINDS:
            self.kinds.setdefault(shape(batch, batch=True), batch)
        return batch

    def note(self, words: str) -> None:
        """Show these words at the bar's end, if there is a bar."""
        if self._bar is not None:
            self._bar.note(words)


def _first(batch: Any) -> Inputs:
    first = batch[0] if isinstance(batch, tuple | list) and batch else None
    if isinstance(first, Tensor) or (isinstance(first, tuple) and tensors(first)):
        return first
    raise DataError(
        "a batch must be a tensor or a tuple that begins with one, or with a tuple of the model's arguments; "
        f"found {type(batch).__name__}: give (batch['image'] for batch in loader), or whatever picks the "
        "model's input"
    )
