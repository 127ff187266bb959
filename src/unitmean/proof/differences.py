"""How far two tensors are apart, by the largest difference of a number."""

import math

import torch
from torch import Tensor


def largest(x: Tensor) -> Tensor:
    """The largest absolute value, infinities left out; one for whole numbers, which are equal or not.

    NaN is left out, too, unless there is nothing else.
    """
    if _whole(x):
        return x.new_ones((), dtype=torch.float64)
    x = _real(x).abs()
    found = _most(x)
    if found.isfinite() or x.isnan().all():
        return found
    return torch.where(x.isfinite(), x, 0.0).amax()


def apart(x: Tensor, y: Tensor, exact: Tensor | None = None) -> Tensor:
    """The largest absolute difference; the same infinity or NaN in both is none, another one counts as it is.

    Of whole numbers, which name or count something, it is one where any differ. Tensors of two sizes are
    infinitely far apart. exact: x in float64; where it is finite and x is not, x overflows, and there is
    nothing to compare.
    """
    if x.shape != y.shape:
        return torch.full((), math.inf, dtype=torch.float64, device=x.device)
    whole = _whole(x)
    x, y = _real(x), _real(y)
    differences = (x != y).double() if whole else (x - y).abs()
    found = _most(differences)
    if found.isfinite():
        return found
    left_out = (x == y) | (x.isnan() & y.isnan())
    if exact is not None:
        left_out |= x.isinf() & _real(exact).isfinite()
    return _most(torch.where(left_out, 0.0, differences))


def error(exact: Tensor, single: Tensor) -> Tensor:
    """The largest error of float32; places where either of them is infinite or NaN say nothing of it."""
    found = apart(exact, single)
    if found.isfinite():
        return found
    exact, single = _real(exact), _real(single)
    return torch.where(exact.isfinite() & single.isfinite(), exact - single, 0.0).abs().amax()


def scaled(x: Tensor, scale: Tensor) -> Tensor:
    return x if _whole(x) else x * scale


def _most(x: Tensor) -> Tensor:
    """The largest number; zero of none."""
    return x.amax() if x.numel() else x.new_zeros(())


def _whole(x: Tensor) -> bool:
    return not x.is_floating_point() and not x.is_complex()


def _real(x: Tensor) -> Tensor:
    """The numbers in float64; those of a complex tensor lie side by side."""
    return (torch.view_as_real(x.resolve_conj()) if x.is_complex() else x).double()
