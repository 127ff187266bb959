"""A walk over a graph that relates the factors of all channels, and finds what stored tensors take up."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves, tree_map

from unitmean.graph.absorb import Absorption
from unitmean.graph.call import Call, Obstacle, tree_nodes
from unitmean.graph.ids import compact, constants
from unitmean.graph.nodes import operator, writes_into
from unitmean.graph.rectifiers import rectifiers
from unitmean.graph.relations import relation
from unitmean.graph.sizes import holds_for_all, unsettled_dims
from unitmean.graph.stored import Stored, is_zero
from unitmean.graph.trace import results
from unitmean.graph.variables import Variables

MOST_ZEROS = 1 << 16  # variables for one tensor of zeros
# These return no tensor, but read only shapes: their inputs needn't be pinned.
_SHAPES = {"sym_size", "sym_numel", "sym_stride", "_assert_tensor_metadata"}


class Walk:
    """A walk over a graph: the ids of every value seen so far, and the absorptions of their factors."""

    stored: Stored

    def __init__(self) -> None:
        self.variables = Variables()
        self.ids: dict[fx.Node, Any] = {}
        self.absorptions: list[Absorption] = []
        self.obstacles: list[Obstacle] = []
        self._read: dict[str, str] = {}  # stored tensors that an operator reads as they are

    def along(self, traced: fx.GraphModule, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Visit all nodes of a graph; the ids of the tensors that it returns, by name.

        A second graph over the same stored tensors only adds what must be equal, by what they take up.
        """
        before, self.obstacles = self.obstacles, []
        self.stored = Stored(state, traced.graph.nodes)
        rectifying = set(rectifiers(traced.graph).values())
        for node in traced.graph.nodes:
            self.visit(node)
            if node in rectifying:
                self.variables.rectify(self.ids[node])
        self.obstacles = before + [found for found in self.obstacles if found not in before]
        return {name: self.ids[node] for name, node in results(traced).items() if node in self.ids}

    def visit(self, node: fx.Node) -> None:
        value = node.meta.get("val")
        if (into := writes_into(node)) is not None:
            self._read |= dict.fromkeys(self.stored.leaves(into), "what is written into it")
        if node.op == "output":
            for result in filter(self.stored.constant, node.all_input_nodes):
                self._read |= dict.fromkeys(self.stored.leaves(result), "the network's output")
        elif node.op == "placeholder" or self.stored.constant(node):
            if isinstance(value, Tensor) and value.is_floating_point() and is_zero(node):
                self.ids[node] = self._any(value.shape)
            else:
                self.ids[node] = _constants(value) if _holds_tensor(value) else constants(())
        elif node.op == "call_function" and _holds_tensor(value):
            self.ids[node] = self._apply(node, value)
        elif node.op == "call_function":
            if operator(node) not in _SHAPES:
                self._call(node, _unknown)
            self.ids[node] = constants(())  # a number, such as of .item()

    def settle(self) -> None:
        """Merge what each stored tensor takes up at several places; it stays where one reads it unchanged."""
        merged: dict[str, Absorption] = {}
        for new in self.absorptions:
            old = merged.setdefault(new.name, new)
            if old is not new:
                because = f"{new.name} is used at several places, which have its factors in common"
                self.variables.tie(old.multiply, new.multiply, because)
                self.variables.tie(old.divide, new.divide, because)
            if new.name in self._read:
                by = self._read[new.name]
                because = f"{new.name} is also used by {by}, so that it takes in what it gives out"
                self.variables.tie(new.multiply, new.divide, because)
        self.variables.settle()
        self.absorptions = list(merged.values())

    def _any(self, shape: torch.Size) -> Tensor:
        """Ids of zeros, which have any factor, and so variables of their own along two dimensions."""
        varying = {1, len(shape) - 1} - ({0} if len(shape) > 1 else set())
        own = [size if d in varying else 1 for d, size in enumerate(shape)]
        if not 0 < prod(own) <= MOST_ZEROS:
            return constants(shape)
        return self.variables.new(prod(own)).reshape(own).expand(shape)

    def _apply(self, node: fx.Node, value: Any) -> Any:
        result = self._call(node, _known)
        if result is None:
            result = self._call(node, _unknown)
        return _shaped(result, value)

    def _call(self, node: fx.Node, relate: Callable[[Call], Any]) -> Any:
        call = Call(node, self.variables, self.stored, self.ids.__getitem__)
        result = relate(call)
        self.obstacles += call.obstacles
        if result is not None:
            self.absorptions += call.absorptions
            self._read = dict.fromkeys(call.read(), call.name) | self._read
        return result


def _known(call: Call) -> Any:
    """The ids of the results by the operator's relation; None where it doesn't cover such a call."""
    if not holds_for_all(call.node, call.ids_of):
        return None
    found = relation(call)
    try:
        result = found.of(call) if found else None
    except (IndexError, RuntimeError, TypeError, ValueError):  # called in a way that it doesn't know
        return None
    if found is None or result is None or call.overlooked(found.harmless):
        return None
    pairs = list(zip(_tensors(result), tree_leaves(call.node.meta["val"]), strict=True))
    if not all(_fits(ids, value) for ids, value in pairs):
        return None
    for name in found.harmless:
        for node in tree_nodes(call.value(name)):
            for ids in _tensors(call.ids_of(node)):
                call.pin(ids, f"reads {name} as it is")
    for (ids, value), unsettled in zip(pairs, unsettled_dims(call.node), strict=True):
        if isinstance(value, Tensor) and not value.is_floating_point():
            call.pin(ids, "makes other than floating numbers of it")
        for dim in (dim - value.ndim for dim in unsettled):
            if -dim <= ids.ndim and ids.shape[dim] > 1:
                call.merge(ids, ids.narrow(dim, 0, 1), "makes so many places of it as numbers say")
    return result


def _fits(ids: Tensor, value: Any) -> bool:
    """Whether ids can be a value's: an argument may give a result a shape that a relation doesn't expect."""
    if not isinstance(value, Tensor):
        return True
    sizes = zip(reversed(ids.shape), reversed(value.shape), strict=False)
    return ids.ndim <= value.ndim and all(size in (1, wanted) for size, wanted in sizes)


def _unknown(call: Call) -> Any:
    """The ids of an unknown operator's results: all that it reads and returns keeps the factor one."""
    for node in call.node.all_input_nodes:
        if not call.stored.constant(node) and node.op != "get_attr":  # get_attr: a branch of control flow
            for ids in _tensors(call.ids_of(node)):
                call.pin(ids, "is not homogeneous, or not known to be")
    return (
        call.fixed("is not homogeneous, or not known to be")
        if _holds_tensor(call.node.meta.get("val"))
        else ()
    )


def _holds_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) or (
        isinstance(value, tuple | list) and any(isinstance(v, Tensor) for v in value)
    )


def _tensors(ids: Any) -> list[Tensor]:
    return [found for found in tree_leaves(ids) if isinstance(found, Tensor)]


def _constants(value: Any) -> Any:
    """Ids of values that don't depend on the input."""
    return tree_map(lambda v: constants(v.shape) if isinstance(v, Tensor) else None, value)


def _shaped(ids: Any, value: Any) -> Any:
    """Ids in the shape of the value that they describe, stored compactly."""
    if isinstance(value, Tensor):
        return compact(ids).expand(value.shape)
    return tuple(_shaped(i, v) if isinstance(v, Tensor) else None for i, v in zip(ids, value, strict=True))
