"""Sizes that depend on the input's numbers, as of nonzero or of a mask: the example's stand for all."""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves, tree_map

from unitmean.errors import NetworkError
from unitmean.graph.called import followed
from unitmean.graph.ids import compact
from unitmean.graph.inputs import Inputs, copies, tensors
from unitmean.graph.nodes import named, operator
from unitmean.graph.undisturbed import repeatable

_DIMS = "dimensions of unsettled size"  # in a node's meta, for each leaf of its value
_GIVEN = "given an unsettled size"
_RESHAPING = set(
    "view reshape flatten unflatten view_as reshape_as _unsafe_view view_copy _reshape_copy".split()
)
_LEAST = 2  # places: of fewer nothing shows whether they are treated alike


def settle_sizes(traced: fx.GraphModule, example: Inputs) -> None:
    """Put the example's sizes in the place of those that depend on numbers, which the graph has as symbols.

    Raises NetworkError where the network returns a tensor of such a size, where the example has no numbers,
    and where the size is less than two.
    """
    unsettled = [node for node in traced.graph.nodes if any(map(_symbols, tree_leaves(node.meta.get("val"))))]
    if not unsettled:
        return
    bare = any(t.is_meta for t in (*tensors(example), *traced.parameters(), *traced.buffers()))
    returned = traced.graph.output_node().all_input_nodes
    if found := next((node for node in unsettled if bare or node in returned), None):
        raise NetworkError(
            f"sizes must follow from the input's size; found that the size of what {named(found)} returns "
            "depends on numbers, as of nonzero or of a mask: normalise the part before it, or let indices be "
            "whole numbers"
        )
    run = _Run(traced)
    with torch.no_grad(), followed(example), repeatable(tensors(example)[0].device):
        run.run(*tree_leaves(copies(example)), enable_io_processing=False)
    for node in traced.graph.nodes:
        if not run.numbers.keys().isdisjoint(node.all_input_nodes):
            node.meta[_GIVEN] = True
            node.args, node.kwargs = fx.node.map_arg(
                (node.args, node.kwargs), lambda source: run.numbers.get(source, source)
            )


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
            return _channels_stay(compact(ids_of(first)), unsettled_dims(first)[0], node)
    return _GIVEN not in node.meta or operator(node) in {*_RESHAPING, "expand"}


def _channels_stay(ids: Tensor, dims: tuple[int, ...], node: fx.Node) -> bool:
    """Whether the sizes behind all unsettled ones have room for whole rows of channels, before and after."""
    varying = [dim for dim, size in enumerate(ids.shape) if size > 1]
    if not varying:
        return True
    shape, after = node.all_input_nodes[0].meta["val"].shape, node.meta["val"].shape
    settled = 1 + max(unsettled_dims(node)[0], default=-1)
    return min(varying) > max(dims, default=-1) and prod(after[settled:]) % prod(shape[min(varying) :]) == 0


class _Run(fx.Interpreter):
    """A run on real numbers that notes the sizes of which nothing was known before."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.numbers: dict[fx.Node, Any] = {}

    def fetch_attr(self, target: str) -> Any:
        found = super().fetch_attr(target)
        return found.clone() if isinstance(found, Tensor) else found  # the graph may write into it

    def run_node(self, n: fx.Node) -> Any:
        found, known = super().run_node(n), n.meta.get("val")
        if isinstance(known, torch.SymInt | torch.SymFloat | torch.SymBool):
            self.numbers[n] = found
        elif any(map(_symbols, tree_leaves(known))):
            n.meta[_DIMS] = [_symbols(leaf) for leaf in tree_leaves(known)]
            n.meta["val"] = tree_map(lambda t: t.to("meta") if isinstance(t, Tensor) else t, found)
            _require_places(n, tree_leaves(found))
        return found


def _require_places(node: fx.Node, found: list[Any]) -> None:
    for leaf, dims in zip(found, unsettled_dims(node), strict=True):
        if few := [leaf.shape[dim] for dim in dims if leaf.shape[dim] < _LEAST]:
            raise NetworkError(
                "sizes that depend on numbers must be two at least in the first batch; found that what "
                f"{named(node)} returns has {few[0]}: give a first batch with more"
            )


def _symbols(value: Any) -> tuple[int, ...]:
    """The dimensions whose sizes are symbols."""
    shape = value.shape if isinstance(value, Tensor) else ()
    return tuple(dim for dim, size in enumerate(shape) if not isinstance(size, int))
