"""The batches that a library call is given, from any loader."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from torch import Tensor, nn

from unitmean.disk.progress import Bar
from unitmean.errors import DataError
from unitmean.graph.inputs import Inputs, bound, count, shape, sizes, tensors
from unitmean.graph.unwrapped import unwrapped

KINDS = 4


class Batches:
    """The model's input from each batch, to be iterated over once; `shown` adds a bar on the terminal.

    Raises DataError where there is no batch, one doesn't begin with a tensor or with a tuple or dict of
    arguments, or one holds no image.
    """

    def __init__(self, batches: Iterable[Any], model: nn.Module, what: str, shown: bool = False) -> None:
        if isinstance(batches, Tensor) or not isinstance(batches, Iterable):
            kind = "one tensor" if isinstance(batches, Tensor) else type(batches).__name__
            remedy = "[x] for a single batch x"
            if hasattr(batches, "__getitem__") and not isinstance(batches, Tensor | Mapping):
                remedy = "torch.utils.data.DataLoader(dataset, batch_size=…)"
            raise DataError(
                "batches must be a loader, a list or another iterable of batches; found "
                f"{kind}: give {remedy}"
            )
        self._total = _length(batches)
        self._what, self.shown = what, shown
        network, _ = unwrapped(model)
        found = (_input(batch, network) for batch in batches)
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
            self.kinds.setdefault(shape(batch), batch)
        return batch

    def note(self, words: str) -> None:
        """Show these words at the bar's end, if there is a bar."""
        if self._bar is not None:
            self._bar.note(words)


def _length(batches: Iterable[Any]) -> int | None:
    """How many there are; None where they don't know, as a loader of data that stream in."""
    try:
        return len(batches)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):
        return None


def _input(batch: Any, network: nn.Module) -> Inputs:
    first = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if isinstance(first, Mapping):
        first = bound(network, first)
    if not isinstance(first, Tensor) and not (isinstance(first, tuple) and tensors(first)):
        raise DataError(
            "a batch must be a tensor, a dict of the model's arguments by name, or a tuple that begins with "
            f"one, or with a tuple of the model's arguments; found {_kind(batch)}: give tensors, as by "
            "(batch['image'] for batch in loader)"
        )
    if any(t.is_meta for t in tensors(first)):
        raise DataError("a batch must hold numbers; found a tensor on the device meta: give one with numbers")
    if not count(first):
        raise DataError(f"a batch must hold an image; found {sizes(first)}: leave it out")
    return first


def _kind(batch: Any) -> str:
    """A batch's type, and of a dict those of its entries."""
    name = type(batch).__name__
    if not isinstance(batch, Mapping):
        return name
    return f"{name} with {', '.join(f'{key!r} of {type(value).__name__}' for key, value in batch.items())}"
