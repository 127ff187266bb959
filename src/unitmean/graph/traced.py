"""A graph as a function of a network's inputs, whose tensors can be replaced."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves

from unitmean.graph.domain import Domain
from unitmean.graph.inputs import Inputs
from unitmean.graph.nodes import attribute, operator, writes_into


@dataclass(frozen=True, eq=False)
class Traced:
    """An observer whose weights can be replaced at no cost, where tracing anew takes a second or so.

    It holds for the inputs of its domain. `compare` raises NetworkError where for such inputs the whole graph
    returns anything else than the network itself.
    """

    graph: fx.GraphModule
    names: tuple[str, ...]
    domain: Domain
    compare: Callable[[Inputs], None]

    def __call__(self, x: Inputs) -> dict[str, Tensor]:
        return dict(zip(self.names, self.graph(*tree_leaves(x)), strict=True))

    def carrying(self, state: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> "Traced":
        """The same graph with other tensors, and in another type; see `carrying`."""
        return replace(self, graph=carrying(self.graph, state, dtype))


def carrying(
    traced: fx.GraphModule, state: Mapping[str, Tensor], dtype: torch.dtype | None = None
) -> fx.GraphModule:
    """The same graph with these tensors, by name; those that it writes into are copies.

    With `dtype` everything else floating gets that type, too: constants, tensors that the forward method
    creates (with the same numbers, random ones as well) or computes from whole numbers, and conversions to a
    type that it names.
    """
    graph = fx.Graph()
    graph.output(graph.graph_copy(traced.graph, {}))
    tensors = {}
    for node in list(graph.nodes):
        if dtype is not None and _made_on_the_spot(node):
            _convert(node, dtype)
        elif dtype is not None:
            node.args = fx.node.map_aggregate(node.args, _to(dtype))
            node.kwargs = fx.node.map_aggregate(node.kwargs, _to(dtype))
        if node.op == "get_attr":
            kept = attribute(traced, str(node.target))
            floating = isinstance(kept, Tensor) and kept.is_floating_point()
            kept = kept.to(dtype) if dtype is not None and floating else kept
            tensor = state.get(str(node.target), kept)
            written = isinstance(tensor, Tensor) and any(writes_into(user) is node for user in node.users)
            tensors[str(node.target)] = tensor.clone() if written else tensor
    name_arguments(graph)
    return fx.GraphModule(tensors, graph)


def name_arguments(graph: fx.Graph) -> None:
    """Name arguments after their nodes, whose names no other node has: a stored tensor's may be the same.

    Else generated code would read the tensor where the forward method reads the argument.
    """
    for node in graph.find_nodes(op="placeholder"):
        node.target = node.name


def _to(dtype: torch.dtype) -> Callable[[Any], Any]:
    return lambda value: dtype if isinstance(value, torch.dtype) and value.is_floating_point else value


# Of what these read, the shape alone matters.
_LIKE = {"rand_like", "randn_like"}


def _made_on_the_spot(node: fx.Node) -> bool:
    """Whether its floating numbers depend on no others: those of torch.zeros, or of whole numbers divided."""
    if node.op != "call_function" or not _floating(node):
        return False
    return not any(map(_floating, node.all_input_nodes)) or operator(node) in _LIKE


def _floating(node: fx.Node) -> bool:
    found = node.meta.get("val")
    return isinstance(found, Tensor) and found.is_floating_point()


def _convert(node: fx.Node, dtype: torch.dtype) -> None:
    """Let the node make its numbers as before and convert them: drawn in another type, random ones differ."""
    if operator(node) in _LIKE:
        node.kwargs = {**node.kwargs, "dtype": node.meta["val"].dtype}
    with node.graph.inserting_after(node):
        converted = node.graph.call_function(torch.ops.aten.to.dtype, (node, dtype))
    node.replace_all_uses_with(converted, delete_user_cb=lambda user: user is not converted)
