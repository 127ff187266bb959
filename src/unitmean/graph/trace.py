"""A module as a graph of ATen operators without side effects."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import torch
from torch import Tensor, fx, nn
from torch._decomp import get_decompositions
from torch.export import ExportedProgram, default_decompositions, export
from torch.nn.modules.batchnorm import _NormBase
from torch.utils._pytree import keystr, tree_flatten_with_path, tree_unflatten

from unitmean.errors import NetworkError
from unitmean.graph.domain import Domain, Free, dynamic_shapes
from unitmean.graph.inputs import Inputs, arguments, sizes, tensors
from unitmean.graph.memory import held_elsewhere
from unitmean.graph.mutation import without_mutation
from unitmean.graph.nodes import attribute
from unitmean.graph.regions import inline
from unitmean.graph.undisturbed import repeatable, undisturbed
from unitmean.graph.untraceable import scripted, told, unnameable, vectorised

# Operators that are several in one, which PyTorch takes apart.
_ATEN, _OF_EXPORT = torch.ops.aten, default_decompositions()
_SEVERAL = get_decompositions(
    [getattr(_ATEN, name) for name in "addmm addmv baddbmm addr addcmul addcdiv lerp im2col rnn_relu".split()]
) | {
    operator: _OF_EXPORT[operator]
    for name in "rnn_relu_cell rnn_tanh_cell lstm_cell gru_cell tensordot diff glu broadcast_tensors".split()
    for operator in [getattr(_ATEN, name).default]
}
_EINSUM = _ATEN.einsum.default
_LOGS = (
    "torch._subclasses.fake_tensor",
    "torch.fx.experimental.symbolic_shapes",
    "torch._export",
    "torch.export",
    "torch._export.non_strict_utils",
)


def trace(
    module: nn.Module, example: Inputs, *, free: Free = Free.NONE, heads: bool = False
) -> fx.GraphModule:
    """The module's graph in eval mode; parameters are `get_attr` nodes named as in its state dict.

    example: a tensor, or the forward method's arguments. `free` says in which sizes other inputs may
    differ from it; of images any number must do. `heads` sets the `training` flag of the outermost module
    alone: some networks then run auxiliary heads. The graph's results are a flat tuple; `meta["outputs"]` has
    their names, `meta["domain"]` the inputs for which it holds, and `meta["autocast"]` whether the module
    computes in a coarser type, which the graph doesn't.

    Raises:
        NetworkError: the module is in training mode, or torch.export can't trace it, or for one number
            of images only where any were to do.
        OSError: torch.export can't write its temporary files.
    """
    parts = module.named_modules()
    if training := [name for name, part in parts if part.training and (part is module or _behaves(part))]:
        raise NetworkError(
            "a network is analysed in eval mode; found in training mode: "
            f"{', '.join(repr(name) if name else 'the network' for name in training[:4])}: call .eval()"
        )
    if name := unnameable(module):
        raise NetworkError(
            f"parts and tensors must have names that torch.fx can use; found {name!r}: rename it, and its "
            "tensors in the state dict"
        )
    given = arguments(example)
    device = torch.device("cuda" if any(t.is_cuda for t in tensors(example)) else "cpu")
    try:
        with undisturbed(module), torch.no_grad(), _unlogged(), repeatable(device):
            module.training = heads
            shapes = dynamic_shapes(module, given, free)
            program = export(module, *given, dynamic_shapes=shapes, strict=False)
            names = _output_names(program)
            traced, autocast = _graph(program)
    except (OSError, NetworkError):  # the first is not the network's fault
        raise
    except Exception as error:  # torch.export raises errors of a dozen unrelated types
        raise NetworkError(
            "the network must be traceable by torch.export; found, with an input of "
            f"{sizes(example)}: {told(error, scripted(module))}"
        ) from error
    _require_own_names(module, traced)
    traced.meta |= {"outputs": names, "autocast": autocast, "domain": Domain.of(traced, example)}
    if free is Free.BATCH:
        traced.meta["domain"].require_any_batch(example)
    return traced


def _require_own_names(module: nn.Module, traced: fx.GraphModule) -> None:
    """NetworkError where the graph reads memory of a stored tensor as a constant, under no name of its own.

    Other weights would be put into the tensor alone, as far as the graph shows.
    """
    state = module.state_dict(keep_vars=True)
    for node in traced.graph.find_nodes(op="get_attr"):
        name = str(node.target)
        if name in state:
            continue
        tensor = attribute(module, name)  # a plain one was copied meanwhile
        tensor = attribute(traced, name) if tensor is None else tensor
        if isinstance(tensor, Tensor) and (held := held_elsewhere(state, tensor)):
            raise NetworkError(
                f"a stored tensor must be read under its own name; found {held!r} held elsewhere, too, as in "
                f"a list, a closure or another attribute, and read from there: read {held} in the forward "
                "method"
            )


def _graph(program: ExportedProgram) -> tuple[fx.GraphModule, bool]:
    """The program as a module without side effects, and whether a part of it was under autocast."""
    if vectorised(program.graph):
        raise NetworkError(
            "the forward method must not call torch.vmap, which torch.export doesn't resolve; found it: call "
            "the function on the whole batch"
        )
    autocast = inline(program.graph_module)
    plain = without_mutation(program.graph, set(program.graph_signature.user_inputs))
    of_many = any(map(_of_many, program.graph.nodes))
    several = _SEVERAL | ({_EINSUM: _OF_EXPORT[_EINSUM]} if of_many else {})
    if not plain or any(node.target in several for node in program.graph.nodes):
        program = program.run_decompositions(several)
    traced = _unlifted(program) if plain else program.module(check_guards=False)
    traced.graph.eliminate_dead_code()
    traced.recompile()
    return traced, autocast


def _of_many(node: fx.Node) -> bool:
    """Whether it is an einsum of more than two tensors, which matrix products are made of."""
    return node.target is _EINSUM and len(node.args[1]) > 2  # type: ignore[arg-type]


def _behaves(part: nn.Module) -> bool:
    """Whether a part's training mode makes it compute something else: its forward method asks for it."""
    code = getattr(type(part).forward, "__code__", None)
    return isinstance(part, _NormBase) or (code is not None and "training" in code.co_names)


def _output_names(program: ExportedProgram) -> list[str]:
    """A name for each of the flat results: "output", or where it lies, as "output['features'][0]"."""
    spec = program.call_spec.out_spec
    paths, _ = tree_flatten_with_path(tree_unflatten(list(range(spec.num_leaves)), spec))
    return [f"output{keystr(path)}" for path, _ in paths]


@contextmanager
def _unlogged() -> Iterator[None]:
    """Silence torch, which logs and prints the errors that it raises, and warns of attributes being set."""
    logs = [logging.getLogger(name) for name in _LOGS]
    before = [log.disabled for log in logs]
    for log in logs:
        log.disabled = True
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, was in zip(logs, before, strict=True):
            log.disabled = was


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


def results(traced: fx.GraphModule) -> dict[str, fx.Node]:
    """Each tensor that the network returns, once, by its name."""
    (returned,) = traced.graph.output_node().args
    found: dict[str, fx.Node] = {}
    for name, node in zip(traced.meta["outputs"], returned, strict=True):  # type: ignore[arg-type]
        if isinstance(node, fx.Node) and isinstance(node.meta.get("val"), torch.SymFloat):
            raise NetworkError(
                f"the network must return tensors; found a number at {name}: return it without .item()"
            )
        if isinstance(node, fx.Node) and isinstance(node.meta.get("val"), Tensor):
            if node not in found.values():
                found[name] = node
    return found
