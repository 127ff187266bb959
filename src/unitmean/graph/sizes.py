"""Sizes that depend on the input's numbers, as of nonzero or of a mask; any are taken in their place."""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import SymInt, Tensor, fx
from torch.utils._pytree import tree_leaves, tree_map

from unitmean.errors import NetworkError
from unitmean.graph.ids import compact
from unitmean.graph.nodes import DIMS, GIVEN, named, operator
from unitmean.graph.rearrange import rearranged, rearranges
from unitmean.graph.stored import value

_RESHAPING = set(
    "view reshape flatten unflatten view_as reshape_as _unsafe_view view_copy _reshape_copy".split()
)
_FIRST = 101  # stands for the first symbol; others have other numbers, lest sizes be equal by chance
_LEAST = 2


def settle_sizes(traced: fx.GraphModule) -> None:
    """Put numbers in the place of the symbols that a graph has for sizes which depend on the input's numbers.

    Those that follow from stored masks alone are what they are. Raises NetworkError where the network returns
    a tensor of another such size.
    """
    settled = _Settled()
    for node in traced.graph.nodes:
        if any(map(_symbols, tree_leaves(node.meta.get("val")))):
            settled.learn(node)
            dims = [settled.unknown(leaf) for leaf in tree_leaves(node.meta["val"])]
            node.meta["val"] = tree_map(settled.tensor, node.meta["val"])
            node.meta |= {DIMS: dims} if any(dims) else {}
        if rearranges(node) and (given := [n.meta["val"] for n in node.all_input_nodes if _is_size(n)]):
            node.meta |= {GIVEN: True} if not all(map(settled.knows, given)) else {}
            node.args, node.kwargs = fx.node.map_arg((node.args, node.kwargs), settled.argument)
    for result in traced.graph.output_node().all_input_nodes:
        if DIMS in result.meta:
            raise NetworkError(
                "sizes of what the network returns must follow from the input's; found that the size of what "
                f"{named(result)} returns depends on numbers, as of nonzero or of a mask: normalise the part "
                "before it, or let indices be whole numbers"
            )


class _Settled:
    """A number for each symbol: its own where that is known, else any within the graph's bounds."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._known: set[Any] = set()

    def learn(self, node: fx.Node) -> None:
        """Take symbols from what the node makes of known sizes and known numbers, such as a stored mask."""
        if not all(
            isinstance(n.meta.get("val"), Tensor) and DIMS not in n.meta for n in node.all_input_nodes
        ):
            return
        made = value(node)
        if made is None and rearranges(node):
            made = rearranged(node, lambda n: torch.zeros(()).expand(n.meta["val"].shape), value)
        if isinstance(made, Tensor):
            for size, number in zip(node.meta["val"].shape, made.shape, strict=True):
                if isinstance(size, SymInt) and size.node.expr.is_Symbol:
                    self._numbers.setdefault(size.node.expr, number)
                    self._known.add(size.node.expr)

    def knows(self, size: int | SymInt) -> bool:
        return isinstance(size, int) or self._known.issuperset(size.node.expr.free_symbols)

    def unknown(self, leaf: Any) -> tuple[int, ...]:
        """The dimensions of a tensor whose sizes aren't known."""
        return tuple(dim for dim in _symbols(leaf) if not self.knows(leaf.shape[dim]))

    def number(self, size: int | SymInt) -> int:
        """A size's value; never one in which nothing could be seen to be mixed, unless it is its own."""
        if isinstance(size, int):
            return size
        assert size.node.shape_env is not None
        for symbol in sorted(size.node.expr.free_symbols, key=str):
            bounds = size.node.shape_env.var_to_range[symbol]
            wanted = max(_FIRST + 2 * len(self._numbers), bounds.lower)
            self._numbers.setdefault(symbol, int(min(wanted, bounds.upper)))
        found = int(size.node.expr.subs(self._numbers))
        return found if self.knows(size) else max(found, _LEAST)

    def argument(self, node: fx.Node) -> fx.Node | int:
        """The number that the node stands for, if it stands for one."""
        return self.number(node.meta["val"]) if _is_size(node) else node

    def tensor(self, leaf: Any) -> Any:
        """A tensor without numbers, in the size that stands for its own; anything else as it is."""
        if not _symbols(leaf):
            return leaf
        shape = [self.number(size) for size in leaf.shape]
        return torch.empty(shape, dtype=leaf.dtype, device="meta")


def unsettled_dims(node: fx.Node) -> list[tuple[int, ...]]:
    """For each leaf of a node's value the dimensions whose sizes depend on numbers."""
    found: list[tuple[int, ...]] = node.meta.get(DIMS) or [() for _ in tree_leaves(node.meta.get("val"))]
    return found


def holds_for_all(node: fx.Node, ids_of: Callable[[fx.Node], Any]) -> bool:
    """Whether what an operator does to its first argument's ids is the same for all sizes it may have.

    Not where it is given such a size for another purpose than a shape, nor where a new shape might let
    channels begin elsewhere.
    """
    if operator(node) in _RESHAPING:
        first = node.all_input_nodes[0]
        if DIMS in node.meta or DIMS in first.meta:
            return _channels_stay(compact(ids_of(first)), first, node)
    return GIVEN not in node.meta or operator(node) in {*_RESHAPING, "expand"}


def _channels_stay(ids: Tensor, before: fx.Node, after: fx.Node) -> bool:
    """Whether the sizes behind all unsettled ones have room for whole rows of channels, before and after."""
    varying = [dim for dim, size in enumerate(ids.shape) if size > 1]
    if not varying:
        return True
    (dims, *_), (new, *_) = unsettled_dims(before), unsettled_dims(after)
    row = prod(before.meta["val"].shape[min(varying) :])
    room = prod(after.meta["val"].shape[max(new, default=-1) + 1 :])
    return min(varying) > max(dims, default=-1) and room % row == 0


def _symbols(leaf: Any) -> tuple[int, ...]:
    """The dimensions whose sizes are symbols."""
    shape = leaf.shape if isinstance(leaf, Tensor) else ()
    return tuple(dim for dim, size in enumerate(shape) if not isinstance(size, int))


def _is_size(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), SymInt)
