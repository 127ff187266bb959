"""The networks whose values are compared, and float32's error in others that are as right."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count as count_up

import torch
from torch import Tensor

from unitmean.errors import NetworkError
from unitmean.graph.inputs import Inputs
from unitmean.graph.observe import Observer
from unitmean.graph.reload import double, same
from unitmean.proof.differences import error

State = Mapping[str, Tensor]
# Weights are rounded otherwise by rounding these parts of them: those of a type already stay what they are.
PARTS = tuple(part / 23 for part in range(7, 23))


@dataclass(frozen=True)
class Networks:
    """The original and the rescaled network, each in float64 and float32, observed at the same places.

    In float64 the rescaled weights are exact (never cast), in float32 they are those of the file; right32 has
    the exact ones rounded to float32, and is rescaled32 itself where the file has these very numbers.
    coarse: the original's weights rounded in several ways to the types of a file that has coarser ones.
    again32: makes the original in float32 with rescaled weights rounded otherwise, in turn. Where rounding
    decides a place, as among two values that pooling with indices finds about equally large, one such network
    jumps and another doesn't: a single one says too little of float32's error.
    """

    original64: Observer
    rescaled64: Observer
    original32: Observer
    rescaled32: Observer
    right32: Observer
    coarse: Sequence[Observer] = ()
    again32: Callable[[], Iterator[Observer]] = lambda: iter(())


def observed(
    observer: Callable[[State, torch.dtype], Observer],
    original: State,
    exact: State,
    right: State,
    file: State,
    coarse: Sequence[State] = (),
    *,
    known: bool,
) -> Networks:
    """The networks of these weights; `exact` in float64, `right` the same rounded to float32.

    known: the factors are, so that every number of the file is compared with what it must be, too.
    """
    rescaled32 = observer(file, torch.float32)
    rescaled = [
        name
        for name, tensor in original.items()
        if known and tensor.is_floating_point() and not torch.equal(right[name].to(tensor.device), tensor)
    ]
    return Networks(
        observer(double(original), torch.float64),
        observer(exact, torch.float64),
        observer(original, torch.float32),
        rescaled32,
        rescaled32 if same(right, file) else observer(right, torch.float32),
        [observer(state, torch.float32) for state in coarse],
        lambda: (
            observer(_rounded_anew(original, rescaled, part), torch.float32)
            for part in (PARTS if rescaled else ())
        ),
    )


def _rounded_anew(state: State, names: Iterable[str], part: float) -> State:
    """These tensors differ from the state's by a unit of float32 here and there.

    They must be ones that may have factors: numbers of others may have a meaning of their own.
    """
    rounded = {name: ((state[name].double() * part).float().double() / part).float() for name in names}
    return {**state, **rounded}


class RoundedOtherwise:
    """float32's errors in the original with weights that are rounded otherwise, measured when asked for."""

    def __init__(self, networks: Iterator[Observer], exact: Mapping[str, Tensor], single: Inputs) -> None:
        self._networks, self._exact, self._single = networks, exact, single
        self._measured: list[Mapping[str, Tensor]] = []

    def errors(self, place: str) -> Iterator[Tensor]:
        """The error at this place, network by network; zero where sizes differ."""
        nothing = self._exact[place].new_zeros((), dtype=torch.float64)
        for number in count_up():
            if number == len(self._measured):
                if (network := next(self._networks, None)) is None:
                    return
                try:
                    found = network(self._single)
                except NetworkError:  # what it computes says nothing where it can't be computed
                    found = {}
                self._measured.append(
                    {
                        name: error(exact, found[name])
                        for name, exact in self._exact.items()
                        if name in found and exact.shape == found[name].shape
                    }
                )
            yield self._measured[number].get(place, nothing)
