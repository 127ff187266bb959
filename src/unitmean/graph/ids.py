"""Tensors of variable ids, in the shape of the tensor they describe; stride 0 where all ids agree."""

import torch
from jaxtyping import Int64
from torch import Tensor

from unitmean.graph.variables import ONE, Variables, stored


def compact(ids: Int64[Tensor, "..."]) -> Int64[Tensor, "..."]:
    """The same ids with size one in every dimension along which they don't vary."""
    ids = stored(ids)
    for dim in range(ids.ndim):
        if ids.shape[dim] > 1 and bool((ids == (first := ids.narrow(dim, 0, 1))).all()):
            ids = first
    return ids


def per_channel(
    variables: Variables, ids: Int64[Tensor, "..."], dim: int, because: str
) -> Int64[Tensor, " channels"]:
    """One id for each index of `dim`; ids that differ along the other dimensions are merged."""
    channels = ids.shape[dim]
    ids = reduced(variables, compact(ids), [d for d in range(ids.ndim) if d != dim % ids.ndim], because)
    return ids.reshape(-1).expand(channels)


def reduced(
    variables: Variables, ids: Int64[Tensor, "..."], dims: list[int], because: str
) -> Int64[Tensor, "..."]:
    """The ids with size one along `dims`; ids that differ along them are merged."""
    for dim in dims if ids.ndim else ():
        if ids.shape[dim] > 1:
            first = ids.narrow(dim, 0, 1)
            if ids.stride(dim) != 0:
                variables.merge(ids, first, because)
            ids = first
    return ids


def fitted(
    variables: Variables, ids: Int64[Tensor, "..."], shape: tuple[int, ...], because: str
) -> Int64[Tensor, "..."]:
    """The ids in a shape that broadcasts to the given one; ids that fall on one position are merged."""
    ids = compact(ids)
    more = max(0, ids.ndim - len(shape))
    own = (1,) * more + tuple(shape)[len(shape) - ids.ndim + more :]
    ids = reduced(variables, ids, [d for d in range(ids.ndim) if own[d] == 1], because)
    return ids.reshape(ids.shape[more:])


def constants(shape: torch.Size | tuple[int, ...], id: int = ONE) -> Int64[Tensor, "..."]:
    """Ids of a tensor whose numbers have all the same factor, by default one."""
    return torch.full((1,) * len(shape), id, dtype=torch.int64).expand(shape)
