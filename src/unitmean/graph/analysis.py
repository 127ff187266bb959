"""From a module to a plan: walk its graph and relate the factors of all channels."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

from jaxtyping import Float, Int64
from torch import Tensor, fx, nn

from unitmean.errors import NetworkError
from unitmean.graph.call import Absorption, Call, Obstacle
from unitmean.graph.ids import compact, constants, per_channel
from unitmean.graph.plan import Plan, Site
from unitmean.graph.rectifiers import rectifiers
from unitmean.graph.relations import RELATIONS
from unitmean.graph.trace import trace
from unitmean.graph.variables import Variables


def analyse(module: nn.Module, example: Float[Tensor, "n ..."], *, outputs: str = "preserve") -> Plan:
    """Which channels of the module may be rescaled, for inputs shaped like the example.

    outputs: "preserve" pins them to the factor one; "normalise" leaves them free.

    Raises:
        NetworkError: torch.export can't trace the module.
    """
    if outputs not in {"preserve", "normalise"}:
        raise ValueError(f'outputs must be "preserve" or "normalise", got {outputs!r}')
    traced = trace(module, example)
    aliases = _aliases(module)
    names, unread = set(rectifiers(traced.graph)), _unread(module, traced, aliases)
    if unread and (whole := _with_heads(module, example, names)):
        traced, unread = whole, _unread(module, whole, aliases)
    walk = _Walk(aliases)
    for node in traced.graph.nodes:
        walk.visit(node)
    results = [node for node in traced.graph.output_node().all_input_nodes if node in walk.ids]
    if outputs == "preserve":
        for node in results:
            walk.variables.pin(walk.ids[node], "it is the network's output")
    walk.settle()
    sites = [_site(walk, name, node) for name, node in rectifiers(traced.graph).items() if name in names]
    return replace(
        _plan(walk.variables, sites, walk.absorptions, [compact(walk.ids[n]) for n in results]),
        aliases={name: names for name, names in aliases.items() if len(names) > 1},
        state=module.state_dict,
        obstacles=tuple(walk.obstacles),
        unreached=tuple(unread),
    )


class _Walk:
    """The ids of every value of the graph so far, and what absorbs them."""

    def __init__(self, aliases: dict[str, tuple[str, ...]]) -> None:
        self.variables = Variables()
        self.ids: dict[fx.Node, Any] = {}
        self.absorptions: list[Absorption] = []
        self.obstacles: list[Obstacle] = []
        self._canonical = {name: names[0] for names in aliases.values() for name in names}
        self._otherwise_used: dict[str, str] = {}  # stored tensors that an operator reads as they are

    def visit(self, node: fx.Node) -> None:
        value = node.meta.get("val")
        if node.op in {"placeholder", "get_attr"}:
            if isinstance(value, Tensor):
                self.ids[node] = constants(value.shape)
        elif node.op == "call_function" and _holds_tensor(value):
            self.ids[node] = self._apply(node, value)

    def settle(self) -> None:
        """Tensors used at several places change in one way, or not at all where one place can't follow."""
        merged: dict[str, Absorption] = {}
        for new in self.absorptions:
            old = merged.setdefault(new.name, new)
            if old is not new:
                because = f"{new.name} is used at several places"
                self.variables.merge(old.multiply, new.multiply, because)
                self.variables.merge(old.divide, new.divide, because)
            if new.name in self._otherwise_used:
                because = f"{new.name} is also used by {self._otherwise_used[new.name]}"
                self.variables.pin(new.multiply, because)
                self.variables.pin(new.divide, because)
        self.absorptions = list(merged.values())

    def _apply(self, node: fx.Node, value: Any) -> Any:
        call = Call(node, self.variables, self.ids.__getitem__)
        stored = {str(n.target) for n in node.all_input_nodes if n.op == "get_attr"}
        relation = RELATIONS.get(call.name)
        result = relation(call) if relation else self._unknown(call, value)
        absorbed = [replace(a, name=self._canonical.get(a.name, a.name)) for a in call.absorptions]
        self.absorptions += absorbed
        self.obstacles += call.obstacles
        for name in stored - {a.name for a in call.absorptions} - _invariant(call):
            self._otherwise_used.setdefault(self._canonical.get(name, name), call.name)
        return _shaped(result, value)

    def _unknown(self, call: Call, value: Any) -> Any:
        for node in call.node.all_input_nodes:
            for ids in _tensors(self.ids.get(node)):
                call.pin(ids, f"{call.name} is not homogeneous, or not known to be")
        if isinstance(value, tuple | list):
            return tuple(constants(v.shape) if isinstance(v, Tensor) else None for v in value)
        return constants(value.shape)


def _invariant(call: Call) -> set[str]:
    """Stored tensors that an operator reads without caring for factors: a variance, a slope, a multiplier."""
    names = {"batch_norm": ["running_var"], "prelu": ["weight"], "mul": ["self", "other"], "div": ["other"]}
    return {p for name in names.get(call.name, []) if (p := call.parameter(name))}


def _holds_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) or (
        isinstance(value, tuple | list) and any(isinstance(v, Tensor) for v in value)
    )


def _tensors(ids: Any) -> list[Tensor]:
    return [ids] if isinstance(ids, Tensor) else [i for i in ids or () if isinstance(i, Tensor)]


def _shaped(ids: Any, value: Any) -> Any:
    """Ids in the shape of the value that they describe, stored compactly."""
    if isinstance(value, Tensor):
        return compact(ids).expand(value.shape)
    return tuple(_shaped(i, v) if isinstance(v, Tensor) else None for i, v in zip(ids, value, strict=True))


def _unread(module: nn.Module, traced: fx.GraphModule, aliases: dict[str, tuple[str, ...]]) -> list[str]:
    """Stored floating tensors that the graph does not read under any of their names."""
    read = {str(node.target) for node in traced.graph.nodes if node.op == "get_attr"}
    state = module.state_dict()
    return [
        name
        for name, names in aliases.items()
        if state[name].is_floating_point() and not read.intersection(names)
    ]


def _with_heads(module: nn.Module, example: Float[Tensor, "n ..."], names: set[str]) -> fx.GraphModule | None:
    """The graph with auxiliary heads, which GoogLeNet and Inception run only where `self.training` is set.

    Only the outermost module's flag is, so that batch norm and dropout below it stay in eval mode. None where
    that graph lacks a rectifier of the other, or can't be traced.
    """
    try:
        whole = trace(module, example, heads=True)
    except NetworkError:
        return None
    return whole if names <= set(rectifiers(whole.graph)) else None


def _aliases(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """State-dict names by storage: tensors tied under several names are rescaled under all of them."""
    names: dict[Any, list[str]] = defaultdict(list)
    for name, tensor in module.state_dict(keep_vars=True).items():
        names[id(tensor)].append(name)
    return {group[0]: tuple(group) for group in names.values()}


def _site(walk: _Walk, name: str, node: fx.Node) -> Site:
    ids = walk.ids[node]
    varying = [d for d, size in enumerate(compact(ids).shape) if size > 1]
    dim = varying[0] if len(varying) == 1 else 1 if ids.ndim > 1 else 0
    channels = per_channel(walk.variables, ids, dim, "its positions are measured together")
    return Site(name, dim, ids.ndim, channels, tuple(walk.variables.reason(v) for v in channels.tolist()))


def _plan(
    variables: Variables,
    sites: list[Site],
    absorptions: list[Absorption],
    outputs: list[Int64[Tensor, "..."]],
) -> Plan:
    number, free = variables.numbered()
    return Plan(
        variables=free + 1,
        sites=tuple(replace(site, variables=number[site.variables]) for site in sites),
        absorptions=tuple(
            Absorption(a.name, multiply=number[a.multiply], divide=number[a.divide]) for a in absorptions
        ),
        outputs=tuple(number[ids] for ids in outputs),
    )
