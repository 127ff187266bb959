"""A network as a function from inputs to what happens at its rectifiers."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from unitmean.errors import NetworkError
from unitmean.graph.again import Called
from unitmean.graph.alike import require_as_called
from unitmean.graph.called import called, followed
from unitmean.graph.domain import Free
from unitmean.graph.inputs import Inputs, copies, count, doubled, tensors
from unitmean.graph.nodes import operator
from unitmean.graph.plan import Site
from unitmean.graph.rectifiers import rectifiers
from unitmean.graph.trace import results, trace
from unitmean.graph.traced import Traced, carrying, name_arguments
from unitmean.graph.undisturbed import repeatable
from unitmean.graph.unwrapped import unwrapped

OUTPUT = "output"
"""The name of the network's own output, if that is one tensor; else the names of all of them begin so."""

# Operators whose result shares no memory with anything.
_FRESH = {"conv1d", "conv2d", "conv3d", "linear", "batch_norm"}

Observer = Callable[[Inputs], dict[str, Tensor]]


def observe(module: nn.Module, example: Inputs, sites: Sequence[str]) -> Traced:
    """The activations of the named rectifiers; the graph is cut behind the last that is needed.

    The name "output" stands for the network's output. Differentiable; any batch size.

    Raises:
        NetworkError: the module has no rectifier of that name.
    """
    traced, nodes = _find(module, example, sites)
    return _returning(traced, nodes)


def observe_outputs(module: nn.Module, example: Inputs, sites: Sequence[Site], *, free: Free) -> Traced:
    """The activations of these rectifiers and each tensor that the network returns, by name.

    free: which sizes may differ from the example's. Raises NetworkError where a rectifier is missing or has
    other channels.
    """
    traced, nodes = _find(module, example, [site.name for site in sites], free=free)
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
    free: Free = Free.BATCH,
    in_place: bool = True,
) -> Traced:
    """`reduction(activation, channel dimension)` of every site, computed inside the graph.

    Activations are freed as soon as the graph has used them, so memory does not grow with depth. With
    `output` the network's own output comes too, under that name. in_place: rectify in place where nothing
    else reads the rectifier's input.
    """
    names = [site.name for site in sites] + [OUTPUT] * output
    traced, nodes = _find(module, example, names, free=free)
    _require_channels(sites, nodes)
    reduced = {OUTPUT: nodes[OUTPUT]} if output else {}
    for site in sites:
        node = nodes[site.name]
        with traced.graph.inserting_before(node.next):
            reduced[site.name] = traced.graph.call_function(reduction, _with_one_dim(site, node))
    return _returning(traced, reduced, in_place=in_place)


def _with_one_dim(site: Site, node: fx.Node) -> tuple[fx.Node, int]:
    """The activation, and the dimension in which it holds all channels."""
    aten, call = torch.ops.aten, node.graph.call_function
    dims = site.dims
    if not dims:  # a number an image: one channel
        return call(aten.unsqueeze.default, (node, 1)), 1
    if len(dims) == 1:
        return node, dims[0]
    positions = [d for d in range(1, len(site.shape)) if d not in dims]
    together = call(aten.permute.default, (node, [0, *dims, *positions]))
    return call(aten.flatten.using_ints, (together, 1, len(dims))), 1


def compiled(observer: Traced) -> Observer:
    """The observer compiled by torch.compile, which fuses reductions with rectifiers; anew for each size."""
    evaluate = torch.compile(observer.graph, dynamic=False)
    return lambda x: dict(zip(observer.names, evaluate(*tree_leaves(x)), strict=True))


def without_gradient(observer: Observer) -> Observer:
    """The observer, run in inference mode."""
    return torch.inference_mode()(observer)


def _find(
    module: nn.Module, example: Inputs, sites: Sequence[str], *, free: Free = Free.BATCH
) -> tuple[fx.GraphModule, dict[str, fx.Node]]:
    # Export takes sizes of zero and one for constants, so a batch of any size is shown as two.
    inner, _ = unwrapped(module)
    shown = doubled(example) if free is Free.BATCH else example
    # Never fewer images than there are: operators may refer to them by number, and read beyond the tensor.
    given = example if count(example) > 1 else shown
    try:
        returned = called(inner, given)
    except NetworkError:
        trace(inner, shown, free=free)  # says more, where it fails as well
        raise
    traced = trace(inner, shown, free=free)
    compare = _comparing(traced, inner)
    compare(given, returned)
    traced.meta["compare"] = lambda x: compare(x, called(inner, x))
    found = rectifiers(traced.graph) | results(traced)
    if OUTPUT in sites and OUTPUT not in found:
        raise NetworkError(f"the network must return one tensor; it returns {list(results(traced))!r}")
    if missing := [name for name in sites if name not in found]:
        raise NetworkError(
            f"the network must have the rectifiers {missing!r}, as for the first batch and in the plan; "
            f"found {list(found)!r}: give the plan's own model, and batches for which it computes the same"
        )
    return traced, {name: found[name] for name in sites}


def _comparing(traced: fx.GraphModule, module: nn.Module) -> Callable[[Inputs, Called | None], None]:
    """Raises NetworkError where the graph doesn't return what the module did; random numbers say nothing."""
    autocast = traced.meta["autocast"]
    floating = next((t.dtype for t in module.parameters() if t.is_floating_point()), torch.float32)
    whole = _cut(traced, results(traced))

    def compare(x: Inputs, returned: Called | None) -> None:
        if returned is None or returned.random:
            return
        outputs = carrying(whole, {}, floating if autocast else None)  # copies of buffers that it writes into
        with torch.no_grad(), followed(x), repeatable(tensors(x)[0].device):
            found = outputs(*tree_leaves(copies(x)))
        own = dict(zip(traced.meta["outputs"], returned.leaves, strict=True))
        require_as_called(dict(zip(results(traced), found, strict=True)), own, coarse=autocast)

    return compare


def _require_channels(sites: Sequence[Site], nodes: Mapping[str, fx.Node]) -> None:
    """Refuse channels that differ from the plan's in number, as where images are folded into channels."""
    for site in sites:
        shape = nodes[site.name].meta["val"].shape
        found = tuple(shape[d] for d in site.dims) if len(shape) == len(site.shape) else tuple(shape)
        known = all(isinstance(size, int) for size in found)  # comparing others would set their values
        if not known or found != tuple(site.shape[d] for d in site.dims):
            raise NetworkError(
                f"{site.name} must have the {site.channels} channels that it had of the first batch; found "
                f"{' x '.join(map(str, found))}, as their number depends on the batch: give batches of one "
                "size and shape, and the plan of this network"
            )


def _returning(traced: fx.GraphModule, nodes: dict[str, fx.Node], *, in_place: bool = True) -> Traced:
    graph = _cut(traced, nodes, in_place=in_place)
    return Traced(graph, tuple(nodes), traced.meta["domain"], traced.meta["compare"])


def _cut(traced: fx.GraphModule, nodes: dict[str, fx.Node], *, in_place: bool = True) -> fx.GraphModule:
    """What these nodes need, and no more."""
    graph = fx.Graph()  # the exported graph's code generation would insist on the module's outputs
    copied: dict[fx.Node, fx.Node] = {}
    graph.graph_copy(traced.graph, copied)
    graph.output(tuple(copied[node] for node in nodes.values()))
    graph.eliminate_dead_code()
    if in_place:
        _rectify_in_place(graph)
    name_arguments(graph)
    return fx.GraphModule(traced, graph)


def _rectify_in_place(graph: fx.Graph) -> None:
    """Make ReLUs in-place whose input nothing else reads: allocating is slower than rectifying."""
    for node in rectifiers(graph).values():
        source = node.args[0]
        if operator(node) == "relu" and isinstance(source, fx.Node) and operator(source) in _FRESH:
            if len(source.users) == 1:
                node.target = torch.ops.aten.relu_.default
