"""Operators on the dimensions of a tensor: they pool, move or join its numbers."""

from math import prod
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.nn import functional as F
from torch.utils._pytree import tree_leaves

from unitmean.graph.call import Call
from unitmean.graph.ids import compact, reduced
from unitmean.graph.pointwise import met
from unitmean.graph.stored import is_zero

Ids = Int64[Tensor, "..."]


def pooled(call: Call) -> Ids | tuple[Ids, ...] | None:
    """Positions are mixed, channels aren't; the operator's name has the number of pooled dimensions."""
    spatial = next(int(digit) for digit in call.name if digit.isdigit())
    return _over(call, list(range(-spatial, 0)))


def folded(call: Call) -> Ids:
    """Patches laid out side by side or over one another, where they are added up; see `F.fold`."""
    patches, across = call.narrow("self"), prod(call.value("kernel_size"))
    channels = call.shape("self")[-2] // across
    ids = patches.expand(*patches.shape[:-2], channels * across, patches.shape[-1])
    ids = ids.unflatten(-2, (channels, across))
    return reduced(call.variables, ids, [ids.ndim - 2, ids.ndim - 1], call.said("mixes positions"))


def sampled(call: Call) -> Ids:
    """Interpolation at a grid's places mixes positions; the grid keeps the factor one."""
    call.pin(call.ids("grid"), "looks up places by it")
    ids = call.narrow("input")
    return reduced(call.variables, ids, list(range(2, ids.ndim)), call.said("mixes positions"))


def along(call: Call) -> Ids | tuple[Ids, ...] | None:
    """A homogeneous function of the numbers along some dimensions: a mean, a maximum, a sort."""
    ndim = call.ids(call.first).ndim
    dims = call.value("dim")
    dims = (
        list(range(ndim)) if dims is None or dims == [] else [dims] if isinstance(dims, int) else list(dims)
    )
    result = _over(call, dims)
    if result is None:
        return None
    found = call.node.meta["val"]
    if call.value("keepdim") or (found if isinstance(found, Tensor) else found[0]).ndim == ndim:
        return result
    gone = {d % ndim for d in dims if ndim}
    ids = result if isinstance(result, Tensor) else result[0]
    ids = ids.reshape([size for d, size in enumerate(ids.shape) if d not in gone])
    return ids if isinstance(result, Tensor) else (ids, *result[1:])


def normed(call: Call) -> Any:
    """A vector norm; not the norm of order zero, which counts nonzero numbers."""
    return along(call) if call.value("ord") else None


def extreme(call: Call) -> Any:
    """The larger or smaller of two tensors, or the largest or smallest along some dimensions."""
    return met(call) if call.has("other") else along(call)


def ordered(call: Call) -> Ids:
    """Where along a dimension the largest numbers lie doesn't depend on a factor that they share."""
    along(call)
    return call.ones()


def _over(call: Call, dims: list[int]) -> Ids | tuple[Ids, ...] | None:
    """The ids of a reduction and, with factor one, of the indices that it returns too."""
    if any(further.is_floating_point() for further in tree_leaves(call.node.meta["val"])[1:]):
        return None  # nothing is known of a second result of numbers
    ids = call.narrow(call.first)
    ids = reduced(call.variables, ids, dims, call.said("mixes positions"))
    found = call.node.meta["val"]
    return ids if isinstance(found, Tensor) else (ids, *(call.ones(i) for i in range(1, len(found))))


def moved(call: Call) -> Any:
    """Numbers change places: run the operator itself on the ids."""
    return call.run()


def scattered(call: Call) -> Any:
    """One tensor written into another; zeros have any factor."""
    if call.constant("src") and is_zero(call.value("src")):
        for name in ("dim", "index", "start", "end", "step", "offset", "dim1", "dim2"):
            call.value(name)
        return call.narrow("self")
    return call.run()


def joined(call: Call) -> Ids:
    """Concatenate ids as `moved` does, but keep them compact; zeros have any factor."""
    nodes = call.value("tensors")
    if any(len(call.shape(node)) > 1 for node in nodes):
        nodes = [node for node in nodes if call.shape(node) != (0,)]  # which go with any others
    parts = [compact(call.ids(node)) for node in nodes]
    ndim = max(part.ndim for part in parts)
    dim = call.value("dim") % ndim
    wide = []
    for node, part in zip(nodes, parts, strict=True):
        size = call.shape(node)[dim]
        if is_zero(node):
            part = call.variables.new(size).reshape([size if d == dim else 1 for d in range(ndim)])
        wide.append(part.expand([size if d == dim else n for d, n in enumerate(part.shape)]))
    sizes = [max(part.shape[d] for part in wide) for d in range(ndim)]
    return torch.cat(
        [p.expand([p.shape[d] if d == dim else n for d, n in enumerate(sizes)]) for p in wide], dim
    )


def padded(call: Call) -> Ids:
    """Zeros and infinities fit any factor, mirrored and repeated borders keep theirs, other constants pin."""
    ids, pad = call.ids(call.first), list(call.value("pad"))
    mode = call.value("mode") if call.has("mode") else "constant"
    if mode == "constant" and call.has("value") and not call.any_factor("value"):
        call.pin(ids, f"pads it with the constant {call.value('value')}")
        return call.ones()
    dims = [ids.ndim - 1 - i // 2 for i in range(0, len(pad), 2) if any(pad[i : i + 2])]
    narrow = compact(ids)
    if all(narrow.shape[dim] == 1 for dim in dims):
        return narrow
    if mode != "constant":
        return reduced(call.variables, ids, dims, call.said("mirrors or repeats its borders"))
    filled = F.pad(ids, pad, value=-1)
    border = filled == -1
    return filled.masked_scatter(border, call.variables.new(int(border.sum())))
