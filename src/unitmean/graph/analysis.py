"""From a module to a plan: walk its graph and relate the factors of all channels."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import torch
from jaxtyping import Int64
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from unitmean.errors import NetworkError
from unitmean.graph.absorb import Absorption
from unitmean.graph.called import called
from unitmean.graph.ids import compact, per_channel
from unitmean.graph.inputs import Inputs, bound, count, sizes, tensors
from unitmean.graph.nodes import named
from unitmean.graph.plan import OUTPUT, Plan, Site
from unitmean.graph.rectifiers import rectifiers
from unitmean.graph.sizes import settle_sizes
from unitmean.graph.trace import trace
from unitmean.graph.unwrapped import unwrapped
from unitmean.graph.variables import Variables
from unitmean.graph.walk import Walk


def analyse(module: nn.Module, example: Inputs, *, outputs: str = "preserve") -> Plan:
    """Which channels of the module may be rescaled, for inputs shaped like the example.

    example: a tensor `n …`, or a tuple or dict of the forward method's arguments. outputs: "preserve" pins
    the network's outputs to the factor one; "normalise" leaves them free. Of a wrapper (DataParallel,
    AveragedModel, what torch.compile returns) the network inside is analysed; names of tensors are those of
    the wrapper's own state dict. The module is called once before it is traced.

    Raises:
        NetworkError: the module is in training mode, torch.export can't trace it, or it has results whose
            size depends on numbers, or sparse tensors, or rectifiers with channels along the first dimension.
        DataError: a dict doesn't hold the forward method's arguments.
        ValueError: `outputs` is neither of the two.
    """
    if outputs not in {"preserve", "normalise"}:
        raise ValueError(f'outputs must be "preserve" or "normalise", got {outputs!r}')
    if not isinstance(module, nn.Module):
        raise NetworkError(f"a network must be a torch.nn.Module; found {module!r}: give the network itself")
    if isinstance(example, Mapping):
        example = bound(unwrapped(module)[0], example)
    if not tensors(example) or not count(example):
        raise NetworkError(
            f"an example must hold an image at least; found {sizes(example) or example!r}: give the first "
            "batch"
        )
    wrapped = module
    module, prefix = unwrapped(module)
    with suppress(NetworkError):  # what fails is traced in vain, too
        called(module, example)
    traced = _followed(module, example)
    state = module.state_dict(keep_vars=True)
    walk = Walk()
    leaving = walk.along(traced, state)
    stored = walk.stored
    unread = _unread(state, traced, stored.aliases)
    if outputs == "preserve":
        heads = {}
        if unread and (whole := _with_heads(module, example)):
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


def _followed(module: nn.Module, example: Inputs, *, heads: bool = False) -> fx.GraphModule:
    """The graph, with a number for each size; NetworkError where factors can't be followed through it."""
    traced = trace(module, example, heads=heads)
    for node in traced.graph.nodes:
        found = [value for value in tree_leaves(node.meta.get("val")) if isinstance(value, Tensor)]
        if any(value.layout != torch.strided for value in found):
            raise NetworkError(f"tensors must be dense; found that {named(node)} returns others: take it out")
    settle_sizes(traced)
    return traced


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


def _with_heads(module: nn.Module, example: Inputs) -> fx.GraphModule | None:
    """The graph with auxiliary heads, which GoogLeNet and Inception run only where `self.training` is set.

    Only the outermost module's flag is set, so that batch norm and dropout below it stay in eval mode. None
    where this graph can't be traced or followed.
    """
    try:
        return _followed(module, example, heads=True)
    except NetworkError:
        return None


def _site(walk: Walk, name: str, node: fx.Node) -> Site:
    ids = walk.ids[node]
    varying = [d for d, size in enumerate(compact(ids).shape) if size > 1]
    if varying == [0] and not walk.variables.pinned(ids).all():
        raise NetworkError(
            f"a rectifier's first dimension must be the batch's; found channels along that of {name}, of "
            f"shape {' x '.join(map(str, ids.shape))}: let the forward method take all images at once, and "
            "give it batches n c h w"
        )
    if len(varying) > 1 and 0 not in varying and _distinct(walk, compact(ids)):
        shape = tuple(compact(ids).shape)
        channels = compact(ids).reshape(-1)
    elif ids.ndim > 1:
        dim = varying[0] if len(varying) == 1 and varying[0] else 1
        channels = per_channel(walk.variables, ids, dim, "its positions are measured together")
        shape = tuple(len(channels) if d == dim else 1 for d in range(ids.ndim))
    else:  # a number an image
        shape, channels = (1,), ids[:1]
    return Site(name, shape, channels, tuple(walk.variables.reason(v) for v in channels.tolist()))


def _distinct(walk: Walk, ids: Int64[Tensor, "..."]) -> bool:
    """Whether each of the ids may have a factor of its own."""
    if bool(walk.variables.pinned(ids).any()):
        return False
    return len({walk.variables.find(variable) for variable in ids.flatten().tolist()}) == ids.numel()


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
