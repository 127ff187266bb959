"""Which stored tensors are one memory under several names, and which share only a part of it."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Span = tuple[Any, int, int]


def aliases(state: Mapping[str, Tensor]) -> dict[str, tuple[str, ...]]:
    """State-dict names by the numbers they stand for; the first of each group is its key.

    Tied tensors are rescaled under all their names. Two Parameters over one memory are tied, too.
    """
    names: dict[Any, list[str]] = defaultdict(list)
    for name, tensor in state.items():
        key = (_span(tensor), tensor.shape, tensor.stride(), tensor.dtype) if tensor.numel() else name
        names[key].append(name)
    return {group[0]: tuple(group) for group in names.values()}


def overlapping(state: Mapping[str, Tensor]) -> set[str]:
    """Tensors that share memory with another that isn't the same tensor, or within themselves.

    No factor can reach one alone.
    """
    spans = sorted(
        ((_span(state[name]), name) for name in aliases(state) if state[name].numel()),
        key=lambda pair: (str(pair[0][0]), *pair[0][1:]),
    )
    found = {name for name in aliases(state) if _within_itself(state[name])}
    place, reach, holder = None, 0, ""
    for (where, start, stop), name in spans:
        if where == place and start < reach:
            found |= {holder, name}
        if where != place or stop > reach:
            place, reach, holder = where, stop, name
    return {alias for name in found for alias in aliases(state)[name]}


def held_elsewhere(state: Mapping[str, Tensor], other: Tensor) -> str | None:
    """A stored tensor, by name, that shares memory with another one that isn't of the state dict."""
    if not other.numel():
        return None
    place, start, stop = _span(other)
    for name, tensor in state.items():
        where, first, end = _span(tensor)
        if tensor.numel() and where == place and first < stop and start < end:
            return name
    return None


def _within_itself(tensor: Tensor) -> bool:
    """Whether several of the tensor's numbers are one in memory."""
    if tensor.numel() < 2 or tensor.is_contiguous():
        return False
    places = torch.zeros((), dtype=torch.int64)
    for size, step in zip(tensor.shape, tensor.stride(), strict=True):
        places = places.unsqueeze(-1) + torch.arange(size) * step
    return len(places.unique()) < tensor.numel()


def _span(tensor: Tensor) -> Span:
    """Place, first byte and end of the tensor: on its device, or in a storage that has no data."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    length = (sum((size - 1) * stride for size, stride in steps) + 1) * tensor.itemsize
    start: int
    storage = tensor.untyped_storage()
    try:
        start, place = tensor.data_ptr(), str(tensor.device)
    except RuntimeError:  # a tensor without numbers of its own
        start, place = 0, ""
    if not start:
        start, place = int(tensor.storage_offset()) * tensor.itemsize, f"storage {storage._cdata}"
    return place, start, start + length
