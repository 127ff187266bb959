"""Tensors of variable ids: the shape of the tensor they describe, one stored position where all agree."""

import torch
from jaxtyping import Int64
from torch import Tensor

from unitmean.graph.variables import Variables, stored


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
    """The ids with size one along `dims`; those that met there are merged."""
    for dim in dims:
        if ids.shape[dim] > 1:
            first = ids.narrow(dim, 0, 1)
            if ids.stride(dim) != 0:
                variables.merge(ids, first, because)
            ids = first
    return ids


def constants(shape: torch.Size | tuple[int, ...]) -> Int64[Tensor, "..."]:
    """Ids of a tensor whose factor is one."""
    return torch.zeros((1,) * len(shape), dtype=torch.int64).expand(shape)
