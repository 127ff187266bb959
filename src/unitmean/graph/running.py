"""A network run on whatever its users give it, with other weights and in another type."""

from collections.abc import Callable, Hashable, Mapping

import torch
from torch import Tensor

from unitmean.errors import NetworkError
from unitmean.graph.any_batch import holds
from unitmean.graph.called import followed
from unitmean.graph.inputs import Inputs, converted, count, shape
from unitmean.graph.observe import Observer
from unitmean.graph.traced import Traced
from unitmean.graph.undisturbed import repeatable

Trace = Callable[[Inputs, bool], Traced]
"""Traces a network with an example, for batches of any size (True) or of the example's (False)."""


_ANY = "any batch"
KEPT = 32  # graphs: one of ResNet-50 holds four megabytes


class Running:
    """Traces once for each shape of input, for any number of images where the network allows it.

    Of more than `KEPT` shapes, those seen last are kept, and others traced again where they come again.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._traced: dict[tuple[str, Hashable], Traced] = {}

    def carrying(self, state: Mapping[str, Tensor], dtype: torch.dtype, device: torch.device) -> Observer:
        """With these weights, its floating numbers in `dtype`.

        Whatever is random in the network begins at the same seed in every call, and inputs that it writes
        into are copies.
        """
        weights = {name: _as(tensor, dtype, device) for name, tensor in state.items()}
        carrying: dict[tuple[str, Hashable], Traced] = {}

        def run(x: Inputs) -> dict[str, Tensor]:
            key, traced = self._of(x)
            if key not in carrying:
                for old in carrying.keys() - self._traced.keys():
                    del carrying[old]
                carrying[key] = traced.carrying(weights, dtype)
            with repeatable(device), torch.inference_mode(), followed(x):
                return carrying[key](converted(x, dtype, device, copy=True))

        return run

    def names(self, x: Inputs) -> tuple[str, ...]:
        """What is observed of inputs of this shape."""
        return self._of(x)[1].names

    def any_batch(self, x: Inputs) -> bool:
        """Whether the network surely takes any number of inputs of this shape.

        Operators of other libraries may refer to images by number, as roi_align's boxes do, and read beyond
        the tensor where the batch is smaller.
        """
        (kind, _), traced = self._of(x)
        graph = traced.graph
        return (
            kind == _ANY
            and not graph.meta.get("conditions")
            and not any(_foreign(node.target) for node in graph.graph.nodes)
        )

    def _of(self, x: Inputs) -> tuple[tuple[str, Hashable], Traced]:
        free, fixed = (_ANY, shape(x, batch=False)), ("this batch", shape(x, batch=True))
        for key in (fixed, free):
            if key in self._traced and (key is fixed or _suits(self._traced[key], x)):
                return key, self._kept(key, self._traced.pop(key))
        if count(x) == 1 or free in self._traced:  # a graph for any batch is one for two images and more
            return fixed, self._kept(fixed, self._trace(x, False))
        try:
            return free, self._kept(free, self._trace(x, True))
        except NetworkError:
            return fixed, self._kept(fixed, self._trace(x, False))

    def _kept(self, key: tuple[str, Hashable], traced: Traced) -> Traced:
        """Keep it as the last that was used; the one that was not used for longest may go."""
        self._traced[key] = traced
        if len(self._traced) > KEPT:
            del self._traced[next(iter(self._traced))]
        return traced


def _suits(traced: Traced, x: Inputs) -> bool:
    """Whether a graph for any batch was traced under conditions that hold for this one."""
    return count(x) > 1 and all(
        holds(condition, count(x)) for condition in traced.graph.meta.get("conditions", ())
    )


def _foreign(target: object) -> bool:
    return isinstance(target, torch._ops.OpOverload) and target.namespace not in {"aten", "prims"}


def _as(tensor: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    return tensor.detach().to(device, dtype if tensor.is_floating_point() else None)
