"""Whether a graph returns what the module itself did."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from unitmean.errors import NetworkError


def require_as_called(found: Mapping[str, Tensor], returned: Mapping[str, Any], *, coarse: bool) -> None:
    """NetworkError where what a graph returns, by name, is not what the module returned.

    Numbers may differ as rounding makes them differ that grew on its way: by the square root of their type's
    epsilon, relative to the largest. coarse: the module rounds to bfloat16 where the graph doesn't; then that
    epsilon counts, and whole numbers may differ.
    """
    for name, value in found.items():
        own = returned.get(name)
        if (
            not isinstance(own, Tensor)
            or own.shape != value.shape
            or (own.dtype != value.dtype and not coarse)
        ):
            raise _otherwise(name)
        if not alike(own, value, coarse=coarse):
            raise _otherwise(name)


def alike(own: Tensor, value: Tensor, *, coarse: bool = False) -> bool:
    """Whether two tensors of one shape have the same numbers, but for rounding (see `require_as_called`)."""
    if own.shape != value.shape:
        return False
    if own.dtype.is_floating_point or own.dtype.is_complex:
        allowed = torch.finfo(torch.bfloat16 if coarse else own.dtype).eps ** 0.5
    elif coarse:
        return True
    else:
        allowed = 0.0
    own, value = _numbers(own), _numbers(value)
    largest = float(own.nan_to_num(0.0, 0.0, 0.0).abs().amax()) if own.numel() else 0.0
    return torch.allclose(own, value, rtol=0.0, atol=allowed * largest, equal_nan=True)


def _numbers(x: Tensor) -> Tensor:
    return (torch.view_as_real(x.resolve_conj()) if x.is_complex() else x).double().flatten()


def _otherwise(name: str) -> NetworkError:
    return NetworkError(
        "torch.export must make of the network a graph that computes the same; found that its graph returns "
        f"another {name} than the network itself, as where the forward method writes into a tensor that "
        "shares its memory with another: write it without in-place operations, such as x += y"
    )
