"""A network as a function from inputs to what happens at its rectifiers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from unitmean.errors import NetworkError
from unitmean.graph.called import called, followed, require_as_called
from unitmean.graph.inputs import Inputs, copies, count, doubled
from unitmean.graph.plan import Site
from unitmean.graph.rectifiers import rectifiers
from unitmean.graph.trace import operator, results, trace
from unitmean.graph.unwrapped import unwrapped

OUTPUT = "output"
"""The name of the network's own output, if that is one tensor; else the names of all of them begin so."""

# Operators whose result shares no memory with anything.
_FRESH = {"conv1d", "conv2d", "conv3d", "linear", "batch_norm"}

Observer = Callable[[Inputs], dict[str, Tensor]]


@dataclass(frozen=True)
class Traced:
    """An observer whose weights can be replaced at no cost, where tracing anew takes a second or so."""

    graph: fx.GraphModule
    names: tuple[str, ...]

    def __call__(self, x: Inputs) -> dict[str, Tensor]:
        return dict(zip(self.names, self.graph(*tree_leaves(x)), strict=True))

    def carrying(self, state: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> "Traced":
        """The same graph with these tensors, by name.

        With `dtype` everything else floating gets that type, too: constants, tensors that the forward method
        creates (with the same numbers, random ones as well), and conversions to a type that it names.
        """
        graph = fx.Graph()
        graph.output(graph.graph_copy(self.graph.graph, {}))
        tensors = {}
        for node in list(graph.nodes):
            if dtype is not None and _made_on_the_spot(node):
                _convert(node, dtype)
            elif dtype is not None:
                node.args = fx.node.map_aggregate(node.args, _to(dtype))
                node.kwargs = fx.node.map_aggregate(node.kwargs, _to(dtype))
            if node.op == "get_attr":
                kept = _attribute(self.graph, str(node.target))
                floating = isinstance(kept, Tensor) and kept.is_floating_point()
                kept = kept.to(dtype) if dtype is not None and floating else kept
                tensor = state.get(str(node.target), kept)
                written = isinstance(tensor, Tensor) and any(_writes(user, node) for user in node.users)
                tensors[str(node.target)] = tensor.clone() if written else tensor
        _name_arguments(graph)
        return Traced(fx.GraphModule(tensors, graph), self.names)


def observe(module: nn.Module, example: Inputs, sites: Sequence[str]) -> Traced:
    """The activations of the named rectifiers; the graph is cut behind the last that is needed.

    The name "output" stands for the network's output. Differentiable; any batch size.

    Raises:
        NetworkError: the module has no rectifier of that name.
    """
    traced, nodes = _find(module, example, sites)
    return _returning(traced, nodes)


def observe_outputs(module: nn.Module, example: Inputs, sites: Sequence[Site], *, dynamic: bool) -> Traced:
    """The activations of these rectifiers and each tensor that the network returns, by name.

    dynamic: for any batch size. Raises NetworkError where a rectifier is missing or has other channels.
    """
    traced, nodes = _find(module, example, [site.name for site in sites], dynamic=dynamic)
    _require_channels(sites, nodes)
    return _returning(traced, nodes | results(traced))


def observe_inputs(module: nn.Module, example: Inputs, sites: Sequence[str]) -> Traced:
    """What the named rectifiers are given, before they rectify it, and "output" as in `observe`."""
    traced, nodes = _find(module, example, sites)
    inputs = {name: node if name == OUTPUT else node.all_input_nodes[0] for name, node in nodes.items()}
    return _returning(traced, inputs)


def reduce_at(
    module: nn.Module,
    example: Inputs,
    sites: Sequence[Site],
    reduction: Callable[[Tensor, int], Tensor],
    *,
    output: bool = False,
    dynamic: bool = True,
    in_place: bool = True,
) -> Traced:
    """`reduction(activation, channel dimension)` of every site, computed inside the graph.

    Activations are freed as soon as the graph has used them, so memory does not grow with depth. With
    `output` the network's own output comes too, under that name. in_place: rectify in place where nothing
    else reads the rectifier's input.
    """
    names = [site.name for site in sites] + [OUTPUT] * output
    traced, nodes = _find(module, example, names, dynamic=dynamic)
    _require_channels(sites, nodes)
    reduced = {OUTPUT: nodes[OUTPUT]} if output else {}
    for site in sites:
        node = nodes[site.name]
        with traced.graph.inserting_before(node.next):
            dim = site.dim
            if site.ndim == 1:  # a number an image: one channel
                node, dim = traced.graph.call_function(torch.ops.aten.unsqueeze.default, (node, 1)), 1
            reduced[site.name] = traced.graph.call_function(reduction, (node, dim))
    return _returning(traced, reduced, in_place=in_place)


def compiled(observer: Traced) -> Observer:
    """The observer compiled by torch.compile, which fuses reductions with rectifiers; anew for each size."""
    evaluate = torch.compile(observer.graph, dynamic=False)
    return lambda x: dict(zip(observer.names, evaluate(*tree_leaves(x)), strict=True))


def without_gradient(observer: Observer) -> Observer:
    """The observer, run in inference mode."""
    return torch.inference_mode()(observer)


def _find(
    module: nn.Module, example: Inputs, sites: Sequence[str], *, dynamic: bool = True
) -> tuple[fx.GraphModule, dict[str, fx.Node]]:
    # Export takes sizes of zero and one for constants, so a dynamic batch is shown as two.
    inner, _ = unwrapped(module)
    shown = doubled(example) if dynamic else example
    # Never fewer images than there are: operators may refer to them by number, and read beyond the tensor.
    given = example if count(example) > 1 else shown
    try:
        returned = called(inner, given)
    except NetworkError:
        trace(inner, shown, dynamic=dynamic)  # says more, where it fails as well
        raise
    traced = trace(inner, shown, dynamic=dynamic)
    if returned is not None:
        floating = (t.dtype for t in inner.parameters() if t.is_floating_point())
        _require_as_called(traced, given, returned, next(floating, torch.float32))
    found = rectifiers(traced.graph) | results(traced)
    if OUTPUT in sites and OUTPUT not in found:
        raise NetworkError(f"the network must return one tensor; it returns {list(results(traced))!r}")
    if missing := [name for name in sites if name not in found]:
        raise NetworkError(
            f"the network must have the rectifiers {missing!r} for each batch, as for the first; found "
            f"{list(found)!r}: give batches for which it computes the same"
        )
    return traced, {name: found[name] for name in sites}


def _require_as_called(
    traced: fx.GraphModule, x: Inputs, returned: Sequence[Any], dtype: torch.dtype
) -> None:
    """NetworkError where the graph doesn't return what the module did; random numbers say nothing."""
    if any(torch.Tag.nondeterministic_seeded in getattr(n.target, "tags", ()) for n in traced.graph.nodes):
        return
    autocast = traced.meta["autocast"]
    # Carrying copies the buffers that the graph writes into.
    outputs = _returning(traced, results(traced)).carrying({}, dtype if autocast else None)
    with torch.no_grad(), followed(x):
        found = outputs(copies(x))
    names = traced.meta["outputs"]
    require_as_called(found, dict(zip(names, returned, strict=True)), coarse=autocast)


def _require_channels(sites: Sequence[Site], nodes: Mapping[str, fx.Node]) -> None:
    """Refuse channels that differ from the plan's in number, as where images are folded into channels."""
    for site in sites:
        found = nodes[site.name].meta["val"].shape[site.dim]
        if site.ndim > 1 and (not isinstance(found, int) or found != site.channels):
            raise NetworkError(
                f"{site.name} must have the {site.channels} channels that it had of the first batch; found "
                f"{found}, as their number depends on the batch: give batches of one size and shape"
            )


def _returning(traced: fx.GraphModule, nodes: dict[str, fx.Node], *, in_place: bool = True) -> Traced:
    graph = fx.Graph()  # the exported graph's code generation would insist on the module's outputs
    copied: dict[fx.Node, fx.Node] = {}
    graph.graph_copy(traced.graph, copied)
    graph.output(tuple(copied[node] for node in nodes.values()))
    graph.eliminate_dead_code()
    if in_place:
        _rectify_in_place(graph)
    _name_arguments(graph)
    found = Traced(fx.GraphModule(traced, graph), tuple(nodes))
    found.graph.meta["conditions"] = traced.meta.get("conditions", ())
    return found


def _name_arguments(graph: fx.Graph) -> None:
    """Name arguments after their nodes, whose names no other node has: a stored tensor's may be the same.

    Else generated code would read the tensor where the forward method reads the argument.
    """
    for node in graph.find_nodes(op="placeholder"):
        node.target = node.name


def _rectify_in_place(graph: fx.Graph) -> None:
    """Make ReLUs in-place whose input nothing else reads: allocating is slower than rectifying."""
    for node in rectifiers(graph).values():
        source = node.args[0]
        if operator(node) == "relu" and isinstance(source, fx.Node) and operator(source) in _FRESH:
            if len(source.users) == 1:
                node.target = torch.ops.aten.relu_.default


def _writes(user: fx.Node, node: fx.Node) -> bool:
    """Whether a node of the graph writes into another one's tensor."""
    schema = getattr(user.target, "_schema", None)
    return schema is not None and schema.is_mutable and bool(user.args) and user.args[0] is node


def _attribute(module: nn.Module, path: str) -> Any:
    parent, _, name = path.rpartition(".")
    return getattr(module.get_submodule(parent), name)


def _to(dtype: torch.dtype) -> Callable[[Any], Any]:
    return lambda value: dtype if isinstance(value, torch.dtype) and value.is_floating_point else value


# Of what these read, the shape alone matters.
_LIKE = {"rand_like", "randn_like"}


def _made_on_the_spot(node: fx.Node) -> bool:
    """Whether its floating numbers depend on no others, as those of torch.zeros and torch.rand."""
    made = node.meta.get("val")
    if node.op != "call_function" or not isinstance(made, Tensor) or not made.is_floating_point():
        return False
    read = any(isinstance(source.meta.get("val"), Tensor) for source in node.all_input_nodes)
    return not read or operator(node) in _LIKE


def _convert(node: fx.Node, dtype: torch.dtype) -> None:
    """Let the node make its numbers as before and convert them: drawn in another type, random ones differ."""
    if operator(node) in _LIKE:
        node.kwargs = {**node.kwargs, "dtype": node.meta["val"].dtype}
    with node.graph.inserting_after(node):
        converted = node.graph.call_function(torch.ops.aten.to.dtype, (node, dtype))
    node.replace_all_uses_with(converted, delete_user_cb=lambda user: user is not converted)
