"""Which nodes of a graph depend on stored tensors and constants alone, and what their values are."""

import operator as python
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, fx

from unitmean.graph.memory import aliases, overlapping
from unitmean.graph.nodes import GIVEN, attribute, operator, unsettled
from unitmean.graph.rearrange import rearranges

# These read a tensor's shape and kind, not its numbers.
_UNREADING = set(
    "zeros_like ones_like empty_like rand_like randn_like randint_like new_zeros new_ones new_empty".split()
)
# Zeros, and what is to be written before it is read.
_ZEROS = {"zero", "zeros", "zeros_like", "new_zeros", "empty", "empty_like", "new_empty"}
_FILLED = {"full": 1, "full_like": 1, "new_full": 2, "fill": 1}  # where the number stands among the arguments
_WRITTEN_INTO = {"slice_scatter", "select_scatter", "diagonal_scatter"}
# Layers, whose results have factors of their own even where their input is a stored table.
_LAYERS = {"linear", *(f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3))}
# Operators that return their input's numbers, at most rounded to another floating type.
COPIES = set(
    "to _to_copy type_as contiguous clone detach detach_ alias lift_fresh lift_fresh_copy positive "
    "_autocast_to_reduced_precision _autocast_to_full_precision".split()
)


class Stored:
    """The tensors of a state dict as a graph reads them."""

    def __init__(self, state: Mapping[str, Tensor], nodes: Iterable[fx.Node]) -> None:
        self.aliases = aliases(state)
        self._canonical = {name: names[0] for names in self.aliases.values() for name in names}
        floating = {name for name, tensor in state.items() if tensor.is_floating_point()}
        self._absorbing = floating - overlapping(state)
        self._constant: set[fx.Node] = set()
        for node in nodes:
            if self._is_constant(node):
                self._constant.add(node)

    def constant(self, node: fx.Node) -> bool:
        """Whether the node's value doesn't depend on the network's input."""
        return node in self._constant

    def canonical(self, node: fx.Node) -> str:
        """The name of the stored tensor that the node reads, the same for all its aliases."""
        return self._canonical.get(str(node.target), str(node.target))

    def absorbs(self, node: fx.Node) -> bool:
        """Whether the node is a stored tensor whose numbers may take up factors."""
        return node.op == "get_attr" and str(node.target) in self._absorbing

    def leaves(self, node: fx.Node) -> set[str]:
        """The stored tensors from which a constant node is computed."""
        found, left, seen = set(), [node], set()
        while left:
            node = left.pop()
            if node.op == "get_attr":
                found.add(self.canonical(node))
            if node not in seen:
                seen.add(node)
                left += _sources(node)
        return found

    def _is_constant(self, node: fx.Node) -> bool:
        if node.op == "get_attr":
            return isinstance(node.meta.get("val"), Tensor)
        if node.op != "call_function" or not (operator(node) or node.target is python.getitem):
            return False
        if operator(node) in _LAYERS:
            return False
        if GIVEN in node.meta and unsettled(node):
            return False
        return all(source in self._constant for source in _sources(node))


def _sources(node: fx.Node) -> list[fx.Node]:
    """The nodes whose numbers enter a node's."""
    name = operator(node)
    if name in _FILLED:
        number = node.args[_FILLED[name]]
        return [number] if isinstance(number, fx.Node) else []
    return [] if name in _UNREADING | _ZEROS else node.all_input_nodes


def value(node: fx.Node) -> Tensor | None:
    """The numbers of a constant node; None where they aren't known before the network runs."""
    if unsettled(node):
        return None
    if node.op == "get_attr":
        found = attribute(node.graph.owning_module, str(node.target))  # type: ignore[arg-type]
        return found.detach() if isinstance(found, Tensor) and found.device.type != "meta" else None
    if node.op != "call_function" or not operator(node) or operator(node) in _UNREADING:
        return None
    if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
        return None
    known = {source: value(source) for source in node.all_input_nodes}
    if any(v is None for v in known.values()):
        return None
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), known.__getitem__)
    target: Any = node.target
    with torch.no_grad():
        result = target(*args, **kwargs)
    return result if isinstance(result, Tensor) and result.device.type != "meta" else None


def is_zero(argument: Any) -> bool:
    """Whether an argument is the number zero or a tensor of zeros, whatever the network's weights are."""
    if not isinstance(argument, fx.Node):
        return isinstance(argument, int | float) and argument == 0
    name = operator(argument)
    if name in _ZEROS:
        return True
    if name in _FILLED:
        return is_zero(argument.args[_FILLED[name]])
    if name in _WRITTEN_INTO:
        return is_zero(argument.args[0]) and is_zero(argument.args[1])
    if name in COPIES or rearranges(argument):
        return is_zero(argument.args[0])
    # torch.export keeps a tensor written in a forward method under a name of its own
    if argument.op == "get_attr" and str(argument.target).rpartition(".")[2].startswith("lifted_tensor"):
        found = value(argument)
        return found is not None and found.numel() == 1 and not found.any()
    return False
