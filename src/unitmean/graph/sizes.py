"""Sizes that depend on the input's numbers, as of nonzero or of a mask; any are taken in their place."""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import SymInt, Tensor, fx
from torch.utils._pytree import tree_leaves, tree_map

from unitmean.errors import NetworkError
from unitmean.graph.ids import compact
from unitmean.graph.nodes import named, operator
from unitmean.graph.rearrange import rearranges

_DIMS = "dimensions of unsettled size"  # in a node's meta, for each leaf of its value
_GIVEN = "given an unsettled size"
_RESHAPING = set(
    "view reshape flatten unflatten view_as reshape_as _unsafe_view view_copy _reshape_copy".split()
)
_FIRST = 101  # stands for the first symbol; others have other numbers, lest sizes be equal by chance
_LEAST = 2


def settle_sizes(traced: fx.GraphModule) -> None:
    """Put numbers in the place of the symbols that a graph has for sizes which depend on the input's numbers.

    Raises NetworkError where the network returns a tensor of such a size.
    """
    for result in traced.graph.output_node().all_input_nodes:
        if any(map(_symbols, tree_leaves(result.meta.get("val")))):
            raise NetworkError(
                "sizes of what the network returns must follow from the input's; found that the size of what "
                f"{named(result)} returns depends on numbers, as of nonzero or of a mask: normalise the part "
                "before it, or let indices be whole numbers"
            )
    settled = _Settled()
    for node in traced.graph.nodes:
        leaves = tree_leaves(node.meta.get("val"))
        if any(map(_symbols, leaves)):
            node.meta[_DIMS] = [_symbols(leaf) for leaf in leaves]
            node.meta["val"] = tree_map(settled.tensor, node.meta["val"])
        if rearranges(node) and any(map(_is_size, node.all_input_nodes)):
            node.meta[_GIVEN] = True
            node.args, node.kwargs = fx.node.map_arg((node.args, node.kwargs), settled.argument)


class _Settled:
    """A number for each symbol, within the bounds that the graph has for it."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def number(self, size: int | SymInt) -> int:
        """A size's value; never one in which nothing could be seen to be mixed."""
        if isinstance(size, int):
            return size
        assert size.node.shape_env is not None
        for symbol in sorted(size.node.expr.free_symbols, key=str):
            bounds = size.node.shape_env.var_to_range[symbol]
            wanted = max(_FIRST + 2 * len(self._numbers), bounds.lower)
            self._numbers.setdefault(symbol, int(min(wanted, bounds.upper)))
        return max(int(size.node.expr.subs(self._numbers)), _LEAST)

    def argument(self, node: fx.Node) -> fx.Node | int:
        """The number that the node stands for, if it stands for one."""
        return self.number(node.meta["val"]) if _is_size(node) else node

    def tensor(self, value: Any) -> Any:
        """A tensor without numbers, in the size that stands for its own; anything else as it is."""
        if not _symbols(value):
            return value
        shape = [self.number(size) for size in value.shape]
        return torch.empty(shape, dtype=value.dtype, device="meta")


def unsettled_dims(node: fx.Node) -> list[tuple[int, ...]]:
    """For each leaf of a node's value the dimensions whose sizes depend on numbers."""
    found: list[tuple[int, ...]] = node.meta.get(_DIMS) or [() for _ in tree_leaves(node.meta.get("val"))]
    return found


def holds_for_all(node: fx.Node, ids_of: Callable[[fx.Node], Any]) -> bool:
    """Whether what an operator does to its first argument's ids is the same for all sizes it may have.

    Not where it is given such a size for another purpose than a shape, nor where a new shape might let
    channels begin elsewhere.
    """
    if operator(node) in _RESHAPING:
        first = node.all_input_nodes[0]
        if _DIMS in node.meta or _DIMS in first.meta:
            return _channels_stay(compact(ids_of(first)), first, node)
    return _GIVEN not in node.meta or operator(node) in {*_RESHAPING, "expand"}


def _channels_stay(ids: Tensor, before: fx.Node, after: fx.Node) -> bool:
    """Whether the sizes behind all unsettled ones have room for whole rows of channels, before and after."""
    varying = [dim for dim, size in enumerate(ids.shape) if size > 1]
    if not varying:
        return True
    (dims, *_), (new, *_) = unsettled_dims(before), unsettled_dims(after)
    row = prod(before.meta["val"].shape[min(varying) :])
    room = prod(after.meta["val"].shape[max(new, default=-1) + 1 :])
    return min(varying) > max(dims, default=-1) and room % row == 0


def _symbols(value: Any) -> tuple[int, ...]:
    """The dimensions whose sizes are symbols."""
    shape = value.shape if isinstance(value, Tensor) else ()
    return tuple(dim for dim, size in enumerate(shape) if not isinstance(size, int))


def _is_size(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), SymInt)
