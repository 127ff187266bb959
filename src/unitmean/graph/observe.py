"""A network as a function from inputs to what happens at its rectifiers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn

from unitmean.errors import NetworkError
from unitmean.graph.plan import Site
from unitmean.graph.rectifiers import rectifiers
from unitmean.graph.trace import operator, trace

OUTPUT = "output"
"""The name under which `observe` returns the network's own output."""

# Operators whose result shares no memory with anything.
_FRESH = {"conv1d", "conv2d", "conv3d", "linear", "batch_norm"}

Observer = Callable[[Float[Tensor, "n ..."]], dict[str, Tensor]]


@dataclass(frozen=True)
class Traced:
    """An observer that can be given other weights: tracing takes a second or so, this nothing."""

    graph: fx.GraphModule
    names: tuple[str, ...]

    def __call__(self, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        return dict(zip(self.names, self.graph(x), strict=True))

    def carrying(self, state: Mapping[str, Tensor]) -> "Traced":
        """The same graph with these tensors, by name, of the dtypes that it was traced with."""
        nodes = [node for node in self.graph.graph.nodes if node.op == "get_attr"]
        tensors = {
            str(n.target): state.get(str(n.target), _attribute(self.graph, str(n.target))) for n in nodes
        }
        return Traced(fx.GraphModule(tensors, self.graph.graph), self.names)


def observe(module: nn.Module, example: Float[Tensor, "n ..."], sites: Sequence[str]) -> Observer:
    """The activations of the named rectifiers; the graph is cut behind the last that is needed.

    The name "output" stands for the network's output. Differentiable; any batch size.

    Raises:
        NetworkError: the module has no rectifier of that name.
    """
    traced, nodes = _find(module, example, sites)
    return _returning(traced, nodes)


def observe_inputs(module: nn.Module, example: Float[Tensor, "n ..."], sites: Sequence[str]) -> "Traced":
    """What the named rectifiers are given, before they rectify it, and "output" as in `observe`."""
    traced, nodes = _find(module, example, sites)
    inputs = {name: node if name == OUTPUT else node.all_input_nodes[0] for name, node in nodes.items()}
    return Traced(_cut(traced, inputs), tuple(inputs))


def reduce_at(
    module: nn.Module,
    example: Float[Tensor, "n ..."],
    sites: Sequence[Site],
    reduction: Callable[[Tensor, int], Tensor],
    *,
    compile: bool = False,
    output: bool = False,
) -> Observer:
    """`reduction(activation, channel dimension)` of every site, computed inside the graph.

    Activations are freed as soon as the graph has used them, so memory does not grow with depth. `compile`
    lets torch.compile fuse the reductions with the rectifiers, anew for each batch size. With `output` the
    network's own output comes too, under that name.
    """
    traced, nodes = _find(module, example, [site.name for site in sites] + [OUTPUT] * output)
    reduced = {OUTPUT: nodes[OUTPUT]} if output else {}
    for site in sites:
        node = nodes[site.name]
        with traced.graph.inserting_after(node):
            reduced[site.name] = traced.graph.call_function(reduction, (node, site.dim))
    return _returning(traced, reduced, compile=compile)


def _find(
    module: nn.Module, example: Tensor, sites: Sequence[str]
) -> tuple[fx.GraphModule, dict[str, fx.Node]]:
    # Export takes sizes of zero and one for constants, so a dynamic batch is shown as two.
    traced = trace(module, example[:1].expand(2, *example.shape[1:]), dynamic=True)
    found = rectifiers(traced.graph)
    outputs = traced.graph.output_node().all_input_nodes
    if OUTPUT in sites and len(outputs) != 1:
        raise NetworkError(f"the network must return one tensor, it returns {len(outputs)}")
    if missing := [name for name in sites if name not in found and name != OUTPUT]:
        raise NetworkError(f"the network must have the rectifiers {missing!r}, it has {list(found)!r}")
    return traced, {name: outputs[0] if name == OUTPUT else found[name] for name in sites}


def _attribute(module: nn.Module, path: str) -> Any:
    parent, _, name = path.rpartition(".")
    return getattr(module.get_submodule(parent), name)


def _cut(traced: fx.GraphModule, nodes: dict[str, fx.Node], *, in_place: bool = True) -> fx.GraphModule:
    graph = fx.Graph()  # of its own code generation: the exported one wants the module's outputs
    copied: dict[fx.Node, fx.Node] = {}
    graph.graph_copy(traced.graph, copied)
    graph.output(tuple(copied[node] for node in nodes.values()))
    graph.eliminate_dead_code()
    if in_place:
        _rectify_in_place(graph)
    return fx.GraphModule(traced, graph)


def _returning(traced: fx.GraphModule, nodes: dict[str, fx.Node], *, compile: bool = False) -> Observer:
    cut = _cut(traced, nodes, in_place=not compile)
    evaluate = torch.compile(cut, dynamic=False) if compile else cut

    def run(x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        return dict(zip(nodes, evaluate(x), strict=True))

    return run


def _rectify_in_place(graph: fx.Graph) -> None:
    """Where nothing else reads the input of a ReLU: allocating is slower than rectifying."""
    for node in rectifiers(graph).values():
        source = node.args[0]
        if operator(node) == "relu" and isinstance(source, fx.Node) and operator(source) in _FRESH:
            if len(source.users) == 1:
                node.target = torch.ops.aten.relu_.default


def without_gradient(observer: Observer) -> Observer:
    """The same in inference mode."""
    return torch.inference_mode()(observer)
