"""Operators that look places up by indices, or write to them, as graph networks do for neighbours."""

from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor, fx

from unitmean.graph.call import Call
from unitmean.graph.ids import reduced
from unitmean.graph.pointwise import masked

Ids = Int64[Tensor, "..."]

_LOOKED_UP = "looks places up along a dimension"
_FIRST = torch.tensor(0)
# How numbers that come to one place may be joined; a product is not homogeneous of degree one.
_JOINED = {None, "add", "sum", "mean", "amax", "amin"}


def picked(call: Call) -> Ids | None:
    """Numbers at the places that tensors of indices name, along one dimension each."""
    found: Ids | None = call.run()
    return _there(call, call.value("indices")) if found is None else found


def selected(call: Call) -> Ids | None:
    """Numbers at the places that one tensor of indices names, along one dimension."""
    found: Ids | None = call.run()
    if found is not None:
        return found
    if call.value("dim") is None:  # as if the tensor were flat
        return None
    ids, dim = _mixed(call, "self")
    return _corner(ids, call.shape("index"), dim) if call.name == "gather" else ids


def joined_there(call: Call) -> Ids | None:
    """Numbers that are joined with those at named places along one dimension, or replace them."""
    if call.value("reduce") not in _JOINED:
        return None
    if call.has("value"):
        call.value("dim")
        return masked(call)
    by_index = call.has("source")  # each index names a whole slice; else a number
    ids, dim = _mixed(call, "self")
    new, _ = _mixed(call, "source" if by_index else "src")
    places = call.shape("source" if by_index else "index")
    new = _corner(new, places, dim)
    whole = all(a == b for d, (a, b) in enumerate(zip(places, call.shape("self"), strict=True)) if d != dim)
    if whole and call.any_factor("self"):
        return new
    call.merge(_corner(ids, places, dim), new, "joins it with another activation")
    return ids


def replaced(call: Call) -> Ids:
    """Numbers that are added to those at named places along several dimensions, or replace them."""
    if call.any_factor("values"):
        return call.narrow("self")
    places = _places(call.value("indices"))
    call.merge(_there(call, call.value("indices")), call.narrow("values"), "joins it with another activation")
    return _along(call, [dim for dim, index in enumerate(places) if index is not None])


def _there(call: Call, indices: Sequence[fx.Node | None]) -> Ids:
    """The ids at places of which nothing is known."""
    places = _places(indices)
    ids = _along(call, [dim for dim, index in enumerate(places) if index is not None])
    found: Tensor = torch.ops.aten.index.Tensor(ids, places)
    return found


def _places(indices: Sequence[fx.Node | None]) -> list[Tensor | None]:
    """For each dimension an index of the first place, in as many dimensions as the real one has.

    A mask stands for an index of one dimension in each of its own.
    """
    found: list[Tensor | None] = []
    for index in indices:
        if index is None:
            found.append(None)
        elif index.meta["val"].dtype in (torch.bool, torch.uint8):
            found += [_FIRST.reshape(1)] * index.meta["val"].ndim
        else:
            found.append(_FIRST.reshape((1,) * index.meta["val"].ndim))
    return found


def _along(call: Call, dims: list[int]) -> Ids:
    return reduced(call.variables, call.narrow("self"), dims, call.said(_LOOKED_UP))


def _mixed(call: Call, argument: str) -> tuple[Ids, int]:
    """An argument's ids with size one along the dimension of the places, and that dimension."""
    ids = call.narrow(argument)
    dim = call.value("dim") % max(1, ids.ndim)
    return reduced(call.variables, ids, [dim], call.said(_LOOKED_UP)), dim


def _corner(ids: Ids, sizes: Sequence[int], dim: int) -> Ids:
    """Where the indices have fewer places than the tensor along another dimension: the ids of the first."""
    return ids[tuple(slice(None) if d == dim else slice(size) for d, size in enumerate(sizes))]
