"""A network run on whatever its users give it, with other weights and in another type."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping

import torch
from torch import Tensor

from unitmean.errors import NetworkError
from unitmean.graph.called import followed
from unitmean.graph.domain import Free
from unitmean.graph.inputs import Inputs, converted, count, kind, shape
from unitmean.graph.observe import Observer
from unitmean.graph.traced import Traced
from unitmean.graph.undisturbed import repeatable

Trace = Callable[[Inputs, Free], Traced]
"""Traces a network with an example, some of whose sizes others may differ in."""

KEPT = 32  # graphs: one of ResNet-50 holds four megabytes
REMEMBERED = 4096  # shapes


class Running:
    """Traces as seldom as it can: for any number of images, and where shapes keep differing for any sizes.

    A graph is compared with the network itself for the first inputs of each shape that it is used for. Of
    more than `KEPT` graphs, those used last are kept.
    """

    def __init__(self, trace: Trace, dtype: torch.dtype, device: torch.device) -> None:
        """dtype, device: the network's own, in which it is traced and compared."""
        self._trace, self._dtype, self._device = trace, dtype, device
        self._graphs: list[Traced] = []  # the one used last is the last
        self._traces: Counter[Hashable] = Counter()  # how many there were of each kind of inputs
        self._compared: dict[Hashable, Traced] = {}  # by shape

    def carrying(self, state: Mapping[str, Tensor], dtype: torch.dtype) -> Observer:
        """With these weights, its floating numbers in `dtype`.

        Whatever is random in the network begins at the same seed in every call, and inputs that it writes
        into are copies.
        """
        weights = {name: _as(tensor, dtype, self._device) for name, tensor in state.items()}
        carrying: dict[Traced, Traced] = {}

        def run(x: Inputs) -> dict[str, Tensor]:
            traced = self._of(x)
            if traced not in carrying:
                for old in carrying.keys() - set(self._graphs):
                    del carrying[old]
                carrying[traced] = traced.carrying(weights, dtype)
            with repeatable(self._device), torch.inference_mode(), followed(x):
                return carrying[traced](converted(x, dtype, self._device, copy=True))

        return run

    def names(self, x: Inputs) -> tuple[str, ...]:
        """What is observed of inputs of this shape."""
        return self._of(x).names

    def as_well(self, x: Inputs, fewer: Inputs) -> bool:
        """Whether the network surely computes alike for `fewer` images: one graph holds for both.

        Operators of other libraries may refer to images by number, as roi_align's boxes do, and read beyond
        the tensor where the batch is smaller.
        """
        traced = self._of(x)
        return fewer in traced.domain and not any(_foreign(node.target) for node in traced.graph.graph.nodes)

    def _of(self, x: Inputs) -> Traced:
        traced = self._compared.get(shape(x))
        if traced is None:
            x = converted(x, self._dtype, self._device)
            traced = self._suiting(x) or self._anew(x)
            if len(self._compared) == REMEMBERED:
                self._compared.clear()
            self._compared[shape(x)] = traced
        self._keep(traced)
        return traced

    def _suiting(self, x: Inputs) -> Traced | None:
        """A graph that is there, and that returns for these inputs what the network does."""
        for traced in reversed(self._graphs):
            if x in traced.domain:
                try:
                    traced.compare(x)
                except NetworkError:  # as where code looks for sizes that torch.export doesn't see
                    continue
                return traced
        return None

    def _anew(self, x: Inputs) -> Traced:
        """All sizes are tried to be left open each time that the number of traces has doubled."""
        before = self._traces[kind(x)]
        self._traces[kind(x)] += 1
        free = [Free.ALL] if before > 1 and before.bit_count() == 1 else []
        free += [Free.BATCH] if count(x) > 1 else []  # a graph for any batch is one for two images and more
        for sizes in free:
            try:
                return self._trace(x, sizes)
            except NetworkError:
                continue
        return self._trace(x, Free.NONE)

    def _keep(self, traced: Traced) -> None:
        """As the last that was used; the one that was not used for longest may go."""
        if traced in self._graphs:
            self._graphs.remove(traced)
        self._graphs.append(traced)
        if len(self._graphs) > KEPT:
            gone = self._graphs.pop(0)
            self._compared = {key: kept for key, kept in self._compared.items() if kept is not gone}


def _foreign(target: object) -> bool:
    return isinstance(target, torch._ops.OpOverload) and target.namespace not in {"aten", "prims"}


def _as(tensor: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    return tensor.detach().to(device, dtype if tensor.is_floating_point() else None)
