"""In-place operators of an exported graph become pure ones, where no alias may notice."""

from collections.abc import Container
from typing import Any

import torch
from torch import fx

from unitmean.errors import NetworkError
from unitmean.graph.nodes import named, operator

# These return their argument itself in eval mode, though their schema does not say so.
_SILENT_ALIASES = {"dropout", "feature_dropout", "alpha_dropout"}
# These may return a view of their only tensor; torch's own functionalisation doesn't know it either.
_HIDDEN_ALIASES = set(
    "einsum cartesian_prod unsafe_chunk unsafe_split unsafe_split_with_sizes _unsafe_view".split()
)


def without_mutation(graph: fx.Graph, inputs: Container[Any]) -> bool:
    """Replace in-place operators by their pure variants; False where an alias might notice.

    inputs: names of the network's own arguments, into which it may write: it is given copies.
    """
    position = {node: i for i, node in enumerate(graph.nodes)}
    for node in list(graph.nodes):
        if node.op != "call_function" or not getattr(node.target, "_schema", None):
            continue
        if not node.target._schema.is_mutable:
            continue
        pure, mutated = _pure(node), node.args[0] if node.args else None
        if pure is None or not isinstance(mutated, fx.Node) or _aliased(mutated, node, position, inputs):
            return False
        node.target = pure
        for user in [user for user in mutated.users if position[user] > position[node]]:
            user.replace_input_with(mutated, node)
    return True


def _pure(node: fx.Node) -> Any:
    """The overload without side effect that takes the same arguments; None where there is none.

    It may have another name: pow_.Scalar takes what pow.Tensor_Scalar takes, and pow.Scalar something else.
    """
    name = operator(node)
    packet = getattr(torch.ops.aten, name.removesuffix("_"), None) if name.endswith("_") else None
    overloads = [getattr(packet, overload) for overload in packet.overloads()] if packet else []
    return next((pure for pure in overloads if _takes(pure) == _takes(node.target)), None)


def _takes(target: Any) -> list[tuple[str, str, bool]]:
    return [(a.name, str(a.type), a.kwarg_only) for a in target._schema.arguments]


def _aliased(mutated: fx.Node, by: fx.Node, position: dict[fx.Node, int], inputs: Container[Any]) -> bool:
    """Whether anything else may share the mutated tensor's memory and be read after the mutation.

    NetworkError where it does by an operator of which torch doesn't know that.
    """
    base = mutated
    while _is_alias(base) and base.all_input_nodes:
        base = base.all_input_nodes[0]
    family = [base]
    for member in family:
        family += [user for user in member.users if user is not by and _is_alias(user)]
    others = [member for member in family if member is not mutated]
    foreign = _is_alias(base) or (base.op in {"placeholder", "get_attr"} and base.name not in inputs)
    shared = foreign or any(position[user] > position[by] for other in others for user in other.users)
    if shared and (hidden := next(filter(_is_hidden, family), None)):
        raise NetworkError(
            f"the forward method must not write into a tensor that shares its memory with what "
            f"{operator(hidden)} returns, which torch.export loses; found {named(by)}: "
            "write it without in-place operations, or use permute"
        )
    return shared


def _is_alias(node: fx.Node) -> bool:
    if node.op != "call_function":
        return False
    schema = getattr(node.target, "_schema", None)
    if schema is None or operator(node) in _SILENT_ALIASES or _is_hidden(node):
        return True
    return not schema.is_mutable and any(result.alias_info for result in schema.returns)


def _is_hidden(node: fx.Node) -> bool:
    return operator(node) in _HIDDEN_ALIASES and len(node.all_input_nodes) == 1
