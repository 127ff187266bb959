"""For which numbers of images a graph that was traced with one number holds."""

import inspect
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import Dim
from torch.utils._pytree import tree_map

from unitmean.errors import NetworkError
from unitmean.graph.inputs import Inputs, count, tensors

# Numbers of images for which a condition must hold in a graph for any number.
COUNTS = (*range(2, 66), 100, 127, 128, 129, 250, 255, 256, 257, 500, 512, 1000, 1024, 4096)


def dynamic_shapes(module: nn.Module, given: tuple[Any, ...]) -> dict[str, Any]:
    """For torch.export: the first dimension of every tensor that holds the batch is free."""
    images = count(given)
    bound = inspect.signature(module.forward).bind(*given).arguments
    return {
        name: tree_map(
            lambda t: {0: Dim.AUTO} if isinstance(t, Tensor) and t.ndim and len(t) == images else None, value
        )
        for name, value in bound.items()
    }


def conditions(traced: fx.GraphModule, example: Inputs) -> list[Any]:
    """What the number of images must fulfil, as far as it isn't any from two on; see `holds`.

    After the forward method asks for the number, as len(x) does, it is fixed; a branch that depends on it
    leaves a condition on it in the graph's shape environment. NetworkError where the number is fixed, or a
    condition is not met by each of many numbers.
    """
    found: list[Any] = []
    for size in _batch_sizes(traced, example):
        fixed = not isinstance(size, torch.SymInt) or size.node.maybe_as_int() is not None
        shapes = None if fixed else size.node.shape_env
        asked = [guard.expr for guard in shapes.guards] if shapes is not None else []
        if fixed or not all(holds(condition, n) for condition in asked for n in COUNTS):
            raise NetworkError(
                "the network must take batches of any size; found that it fixes the batch's size"
            )
        found += asked
    return found


def holds(condition: Any, images: int) -> bool:
    """Whether a condition under which a graph was traced holds for so many images."""
    return bool(condition.subs(dict.fromkeys(condition.free_symbols, images)))


def _batch_sizes(traced: fx.GraphModule, example: Inputs) -> list[Any]:
    """The first dimension, as the graph has it, of every input tensor that holds the batch."""
    found = [node.meta.get("val") for node in traced.graph.find_nodes(op="placeholder")]
    seen = [value for value in found if isinstance(value, Tensor)]
    images = count(example)
    return [
        value.shape[0]
        for value, shown in zip(seen, tensors(example), strict=True)
        if shown.ndim and len(shown) == images
    ]
