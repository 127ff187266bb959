"""Inlines the regions under other settings (autocast, no_grad), which torch.export keeps as submodules."""

import operator
from typing import Any

import torch
from torch import fx

# `with torch.autocast(…)`, `with torch.no_grad()`: but for rounding they compute what their operators do.
_REGIONS = {
    torch.ops.higher_order.wrap_with_autocast,
    torch.ops.higher_order.wrap_with_set_grad_enabled,
}


def inline(module: fx.GraphModule) -> bool:
    """Replace each region, and those within it, by its operators; whether there was one with autocast.

    This drops autocast: the network is run in the type of its own weights.
    """
    done: set[fx.Node] = set()
    while region := next((n for n in module.graph.nodes if n.target in _REGIONS and n not in done), None):
        done.add(region)
        _inline(module, region)
    if done:
        module.graph.eliminate_dead_code()
        module.recompile()
    return any(region.target is torch.ops.higher_order.wrap_with_autocast for region in done)


def _inline(module: fx.GraphModule, region: fx.Node) -> None:
    at, inner = next((i, found) for i, a in enumerate(region.args) if (found := _module(module, a)))
    placeholders = inner.graph.find_nodes(op="placeholder")
    values = dict(zip(placeholders, region.args[at + 1 :], strict=True))
    for node in inner.graph.find_nodes(op="get_attr"):
        with module.graph.inserting_before(region):
            values[node] = module.graph.get_attr(_moved(module, inner, str(node.target)))
            values[node].meta = dict(node.meta)
    with module.graph.inserting_before(region):
        results: Any = module.graph.graph_copy(inner.graph, values)
    for user in list(region.users):
        if user.target is operator.getitem:
            user.replace_all_uses_with(results[user.args[1]])
            module.graph.erase_node(user)


def _module(module: fx.GraphModule, argument: Any) -> fx.GraphModule | None:
    if not isinstance(argument, fx.Node) or argument.op != "get_attr":
        return None
    found = getattr(module, str(argument.target), None)
    return found if isinstance(found, fx.GraphModule) else None


def _moved(module: fx.GraphModule, inner: fx.GraphModule, name: str) -> str:
    """Copy an attribute of the inner module into the outer one; returns its new name."""
    new = f"_region_{sum(key.startswith('_region_') for key in vars(module) | module._modules)}_{name}"
    setattr(module, new, getattr(inner, name))
    return new
