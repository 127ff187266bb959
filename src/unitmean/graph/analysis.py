"""From a module to a plan: walk its graph and relate the factors of all channels."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from math import prod
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves, tree_map

from unitmean.errors import NetworkError
from unitmean.graph.absorb import Absorption
from unitmean.graph.call import Call, Obstacle, tree_nodes
from unitmean.graph.called import called
from unitmean.graph.ids import compact, constants, per_channel
from unitmean.graph.inputs import Inputs
from unitmean.graph.plan import OUTPUT, Plan, Site
from unitmean.graph.rectifiers import rectifiers
from unitmean.graph.relations import relation
from unitmean.graph.stored import Stored, is_zero
from unitmean.graph.trace import operator, path, results, trace
from unitmean.graph.unwrapped import unwrapped
from unitmean.graph.variables import Variables

MOST_ZEROS = 1 << 16  # variables for one tensor of zeros
# These return no tensor, but read only shapes: their inputs needn't be pinned.
_SHAPES = {"sym_size", "sym_numel", "sym_stride", "_assert_tensor_metadata"}


def analyse(module: nn.Module, example: Inputs, *, outputs: str = "preserve") -> Plan:
    """Which channels of the module may be rescaled, for inputs shaped like the example.

    example: a tensor `n …`, or a tuple of the forward method's arguments. outputs: "preserve" pins the
    network's outputs to the factor one; "normalise" leaves them free. Of a wrapper (DataParallel,
    AveragedModel, what torch.compile returns) the network inside is analysed; names of tensors are those of
    the wrapper's own state dict. The module is called once before it is traced.

    Raises:
        NetworkError: the module is in training mode, torch.export can't trace it, or it has results whose
            size depends on numbers, or rectifiers with channels along the first dimension.
        ValueError: `outputs` is neither of the two.
    """
    if outputs not in {"preserve", "normalise"}:
        raise ValueError(f'outputs must be "preserve" or "normalise", got {outputs!r}')
    wrapped = module
    module, prefix = unwrapped(module)
    with suppress(NetworkError):  # what fails is traced in vain, too
        called(module, example)
    traced = trace(module, example)
    _require_shapes(traced)
    state = module.state_dict(keep_vars=True)
    walk = _Walk()
    leaving = walk.along(traced, state)
    stored, names = walk.stored, set(rectifiers(traced.graph))
    unread = _unread(state, traced, stored.aliases)
    if outputs == "preserve":
        heads = {}
        if unread and (whole := _with_heads(module, example, names)):
            heads = walk.along(whole, state)
            unread = [name for name in unread if name in _unread(state, whole, stored.aliases)]
        for ids in (*leaving.values(), *heads.values()):
            walk.variables.pin(ids, OUTPUT)
    walk.settle()
    sites = [
        _site(walk, name, node)
        for name, node in rectifiers(traced.graph).items()
        if not stored.constant(node) and node.meta["val"].ndim
    ]
    absorptions = [replace(a, name=prefix + a.name) for a in walk.absorptions]
    return replace(
        _plan(walk.variables, sites, absorptions, list(leaving.values())),
        output_names=tuple(leaving),
        aliases={
            prefix + name: tuple(prefix + other for other in names)
            for name, names in stored.aliases.items()
            if len(names) > 1
        },
        state=wrapped.state_dict,
        obstacles=tuple(walk.obstacles),
        unreached=tuple(prefix + name for name in unread),
    )


def _require_shapes(traced: fx.GraphModule) -> None:
    """NetworkError where a result's size depends on numbers: factors can't be followed through it."""
    for node in traced.graph.nodes:
        found = [value for value in tree_leaves(node.meta.get("val")) if isinstance(value, Tensor)]
        what = f"{operator(node)} in {path(node) or 'the forward method'}"
        if any(value.layout != torch.strided for value in found):
            raise NetworkError(f"tensors must be dense; found that {what} returns others: take it out")
        if not all(isinstance(size, int) for value in found for size in value.shape):
            raise NetworkError(
                f"shapes must follow from the input's shape; found that the size of what {what} returns "
                "depends on numbers, as of nonzero or of a mask: normalise the part before it, or let "
                "indices be whole numbers"
            )


class _Walk:
    """A walk over a graph: the ids of every value seen so far, and the absorptions of their factors."""

    stored: Stored

    def __init__(self) -> None:
        self.variables = Variables()
        self.ids: dict[fx.Node, Any] = {}
        self.absorptions: list[Absorption] = []
        self.obstacles: list[Obstacle] = []
        self._read: dict[str, str] = {}  # stored tensors that an operator reads as they are

    def along(self, traced: fx.GraphModule, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Visit all nodes of a graph; the ids of the tensors that it returns, by name.

        A second graph over the same stored tensors only adds what must be equal, by what they take up.
        """
        before, self.obstacles = self.obstacles, []
        self.stored = Stored(state, traced.graph.nodes)
        for node in traced.graph.nodes:
            self.visit(node)
        self.obstacles = before + [found for found in self.obstacles if found not in before]
        return {name: self.ids[node] for name, node in results(traced).items() if node in self.ids}

    def visit(self, node: fx.Node) -> None:
        value = node.meta.get("val")
        if node.op == "output":
            for result in filter(self.stored.constant, node.all_input_nodes):
                self._read |= dict.fromkeys(self.stored.leaves(result), "the network's output")
        elif node.op == "placeholder" or self.stored.constant(node):
            if isinstance(value, Tensor) and value.is_floating_point() and is_zero(node):
                self.ids[node] = self._any(value.shape)
            elif _holds_tensor(value):
                self.ids[node] = _constants(value)
        elif node.op == "call_function" and _holds_tensor(value):
            self.ids[node] = self._apply(node, value)
        elif node.op == "call_function" and operator(node) not in _SHAPES:
            self._call(node, _unknown)
            self.ids[node] = constants(())  # a number, such as of .item()

    def settle(self) -> None:
        """Merge what each stored tensor takes up at several places; it stays where one reads it unchanged."""
        merged: dict[str, Absorption] = {}
        for new in self.absorptions:
            old = merged.setdefault(new.name, new)
            if old is not new:
                because = f"{new.name} is used at several places"
                self.variables.merge(old.multiply, new.multiply, because)
                self.variables.merge(old.divide, new.divide, because)
            if new.name in self._read:
                because = f"{new.name} is also used by {self._read[new.name]}"
                self.variables.merge(new.multiply, new.divide, because)
        self.absorptions = list(merged.values())

    def _any(self, shape: torch.Size) -> Tensor:
        """Ids of zeros, which have any factor, and so variables of their own along two dimensions."""
        varying = {1, len(shape) - 1} - ({0} if len(shape) > 1 else set())
        own = [size if d in varying else 1 for d, size in enumerate(shape)]
        if not 0 < prod(own) <= MOST_ZEROS:
            return constants(shape)
        return self.variables.new(prod(own)).reshape(own).expand(shape)

    def _apply(self, node: fx.Node, value: Any) -> Any:
        result = self._call(node, _known)
        if result is None:
            result = self._call(node, _unknown)
        return _shaped(result, value)

    def _call(self, node: fx.Node, relate: Callable[[Call], Any]) -> Any:
        call = Call(node, self.variables, self.stored, self.ids.__getitem__)
        result = relate(call)
        self.obstacles += call.obstacles
        if result is not None:
            self.absorptions += call.absorptions
            self._read = dict.fromkeys(call.read(), call.name) | self._read
        return result


def _known(call: Call) -> Any:
    """The ids of the results by the operator's relation; None where it doesn't cover such a call."""
    found = relation(call)
    result = found.of(call) if found else None
    if found is None or result is None or call.overlooked(found.harmless):
        return None
    pairs = list(zip(_tensors(result), tree_leaves(call.node.meta["val"]), strict=True))
    if not all(_fits(ids, value) for ids, value in pairs):
        return None
    for name in found.harmless:
        for node in tree_nodes(call.value(name)):
            for ids in _tensors(call.ids_of(node)):
                call.pin(ids, f"reads {name} as it is")
    for ids, value in pairs:
        if isinstance(value, Tensor) and not value.is_floating_point():
            call.pin(ids, "makes other than floating numbers of it")
    return result


def _fits(ids: Tensor, value: Any) -> bool:
    """Whether ids can be a value's: an argument may give a result a shape that a relation doesn't expect."""
    if not isinstance(value, Tensor):
        return True
    sizes = zip(reversed(ids.shape), reversed(value.shape), strict=False)
    return ids.ndim <= value.ndim and all(size in (1, wanted) for size, wanted in sizes)


def _unknown(call: Call) -> Any:
    """The ids of an unknown operator's results: all that it reads and returns keeps the factor one."""
    for node in call.node.all_input_nodes:
        if not call.stored.constant(node) and node.op != "get_attr":  # get_attr: a branch of control flow
            for ids in _tensors(call.ids_of(node)):
                call.pin(ids, "is not homogeneous, or not known to be")
    return (
        call.fixed("is not homogeneous, or not known to be")
        if _holds_tensor(call.node.meta.get("val"))
        else ()
    )


def _holds_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) or (
        isinstance(value, tuple | list) and any(isinstance(v, Tensor) for v in value)
    )


def _tensors(ids: Any) -> list[Tensor]:
    return [found for found in tree_leaves(ids) if isinstance(found, Tensor)]


def _constants(value: Any) -> Any:
    """Ids of values that don't depend on the input."""
    return tree_map(lambda v: constants(v.shape) if isinstance(v, Tensor) else None, value)


def _shaped(ids: Any, value: Any) -> Any:
    """Ids in the shape of the value that they describe, stored compactly."""
    if isinstance(value, Tensor):
        return compact(ids).expand(value.shape)
    return tuple(_shaped(i, v) if isinstance(v, Tensor) else None for i, v in zip(ids, value, strict=True))


def _unread(
    state: Mapping[str, Tensor], traced: fx.GraphModule, aliases: Mapping[str, tuple[str, ...]]
) -> list[str]:
    """Stored floating tensors that the graph does not read under any of their names."""
    read = {str(node.target) for node in traced.graph.nodes if node.op == "get_attr"}
    return [
        name
        for name, names in aliases.items()
        if state[name].is_floating_point() and not read.intersection(names)
    ]


def _with_heads(module: nn.Module, example: Inputs, names: set[str]) -> fx.GraphModule | None:
    """The graph with auxiliary heads, which GoogLeNet and Inception run only where `self.training` is set.

    Only the outermost module's flag is set, so that batch norm and dropout below it stay in eval mode. None
    where this graph lacks one of the rectifiers `names`, or can't be traced or followed.
    """
    try:
        whole = trace(module, example, heads=True)
        _require_shapes(whole)
    except NetworkError:
        return None
    return whole if names <= set(rectifiers(whole.graph)) else None


def _site(walk: _Walk, name: str, node: fx.Node) -> Site:
    ids = walk.ids[node]
    varying = [d for d, size in enumerate(compact(ids).shape) if size > 1]
    if varying == [0] and not walk.variables.pinned(ids).all():
        raise NetworkError(
            f"a rectifier's first dimension must be the batch's; found channels along that of {name}, of "
            f"shape {' x '.join(map(str, ids.shape))}: let the forward method take all images at once, and "
            "give it batches n c h w"
        )
    dim = varying[0] if len(varying) == 1 and varying[0] else 1
    if ids.ndim > 1:
        channels = per_channel(walk.variables, ids, dim, "its positions are measured together")
    else:  # a number an image
        dim, channels = 0, ids[:1]
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
        outputs=tuple(compact(number[ids]) for ids in outputs),
    )
