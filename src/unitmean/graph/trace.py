"""A module as a graph of ATen operators without side effects."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram, export

from unitmean.errors import NetworkError

# These return their argument itself in eval mode, though their schema does not say so.
_SILENT_ALIASES = {"dropout", "feature_dropout", "alpha_dropout"}


def trace(
    module: nn.Module, example: Float[Tensor, "n ..."], *, dynamic: bool = False, heads: bool = False
) -> fx.GraphModule:
    """The module's graph in eval mode; parameters are `get_attr` nodes named as in its state dict.

    `dynamic` lets the batch size differ from the example's where the module allows it. `heads` sets the
    outermost module's `training` flag alone, by which some run auxiliary heads.

    Raises:
        NetworkError: torch.export can't trace the module.
        OSError: it found no room for its temporary files.
    """
    if module.training:
        raise NetworkError("a network is analysed in eval mode, this one is in training mode: call .eval()")
    shapes = ({0: Dim.AUTO},) if dynamic else None
    try:
        module.training = heads
        with torch.no_grad(), _unlogged():
            program = export(module, (example,), dynamic_shapes=shapes, strict=False)
    except OSError:  # not the network's fault
        raise
    except Exception as error:  # torch.export raises errors of a dozen unrelated types
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise NetworkError(
            "the network must be traceable by torch.export; found, with an input of "
            f"{' x '.join(map(str, example.shape))}: {first.rstrip('.')}. Give a larger input if that is too "
            "small, take data-dependent control flow out of its forward, or wrap the part to be normalised"
        ) from error
    finally:
        module.training = False
    if _without_mutation(program.graph):
        traced = _unlifted(program)
    else:
        traced = program.run_decompositions({}).module(check_guards=False)
    traced.graph.eliminate_dead_code()
    traced.recompile()
    return traced


@contextmanager
def _unlogged() -> Iterator[None]:
    """torch logs a traceback of what it raises as well."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _unlifted(program: ExportedProgram) -> fx.GraphModule:
    """`program.module()` without its deep copy, which takes long; the outputs are flat."""
    graph, copied = fx.Graph(), {}
    stored = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs}
    for node in program.graph.find_nodes(op="placeholder"):
        if (target := stored[node.name]) is not None:
            copied[node] = graph.get_attr(target)
            copied[node].meta = node.meta
    graph.output(graph.graph_copy(program.graph, copied))
    attributes = dict(program.graph_module.named_modules()) | program.state_dict | program.constants
    return fx.GraphModule(attributes, graph)


def operator(node: fx.Node) -> str:
    """The node's ATen operator without overload, such as "conv2d"; "" for anything else."""
    packet = getattr(node.target, "overloadpacket", None)
    return str(packet.__name__) if packet is not None else ""


def path(node: fx.Node) -> str:
    """The path of the innermost module in which the node was recorded; "" for the outermost."""
    stack = node.meta.get("nn_module_stack") or {}
    return str(next((path for path, _ in reversed(stack.values())), ""))


def _without_mutation(graph: fx.Graph) -> bool:
    """Replace in-place operators by their pure variants; False where an alias might notice."""
    position = {node: i for i, node in enumerate(graph.nodes)}
    for node in list(graph.nodes):
        if node.op != "call_function" or not getattr(node.target, "_schema", None):
            continue
        if not node.target._schema.is_mutable:
            continue
        pure = getattr(torch.ops.aten, operator(node).removesuffix("_"), None)
        overload = node.target._overloadname
        mutated = node.args[0] if node.args else None
        if not operator(node).endswith("_") or pure is None or not isinstance(mutated, fx.Node):
            return False
        if overload not in pure.overloads() or _aliased(mutated, node, position):
            return False
        node.target = getattr(pure, overload)
        for user in [user for user in mutated.users if position[user] > position[node]]:
            user.replace_input_with(mutated, node)
    return True


def _aliased(mutated: fx.Node, by: fx.Node, position: dict[fx.Node, int]) -> bool:
    """Whether anything else may share the mutated tensor's memory and be read after the mutation."""
    base = mutated
    while _is_alias(base):
        if not base.all_input_nodes:
            return True
        base = base.all_input_nodes[0]
    if base.op in {"placeholder", "get_attr"}:
        return True
    family = [base]
    for member in family:
        family += [user for user in member.users if user is not by and _is_alias(user)]
    others = [member for member in family if member is not mutated]
    return any(position[user] > position[by] for other in others for user in other.users)


def _is_alias(node: fx.Node) -> bool:
    if node.op != "call_function":
        return False
    schema = getattr(node.target, "_schema", None)
    if schema is None or operator(node) in _SILENT_ALIASES:
        return True
    return not schema.is_mutable and any(result.alias_info for result in schema.returns)
