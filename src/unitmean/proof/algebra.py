"""Every stored number of a rescaled network against the old one times its factors.

The arithmetic is this module's own, so that a mistake in `Plan.rescale` shows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from unitmean.graph.plan import Plan

# The largest distance of the file's number from the exact product, in units in the last place: rounded once,
# it is off by half a unit. The rest is for the rounding of the float64 product, 2^-29 of a float32's unit.
# Half precision is rounded by way of float32; in float64 a product and a quotient are rounded on both sides.
ULPS = {torch.float32: 0.5 + 1e-6, torch.float64: 2.0}
HALF_PRECISION = 0.5 + 2**-8
# Numbers looked at together: float64 copies of a fully connected layer would take gigabytes.
CHUNK = 1 << 22


@dataclass(frozen=True)
class Discrepancy:
    """A tensor that isn't the old one times its factors: what is wrong, and by how many units in the last
    place, which is infinite where numbers can't be compared."""

    tensor: str
    why: str
    ulps: float


def discrepancies(
    plan: Plan, factors: Float64[Tensor, " variables"], old: Mapping[str, Tensor], new: Mapping[str, Tensor]
) -> list[Discrepancy]:
    """The tensors of `new` that aren't `old` times `factor[multiply] / factor[divide]`, to the nearest float.

    Tensors that take up no factor, and all that aren't floating, must be equal bit for bit.
    """
    absorbed = {name: a for a in plan.absorptions for name in plan.aliases.get(a.name, (a.name,))}
    found = [Discrepancy(name, "is not in the file", torch.inf) for name in old if name not in new]
    found += [Discrepancy(name, "is not in the original", torch.inf) for name in new if name not in old]
    for name, before in old.items():
        if name not in new:
            continue
        after = new[name].to(before.device)
        if after.shape != before.shape or after.dtype != before.dtype:
            why = f"is {after.dtype} {tuple(after.shape)}, not {before.dtype} {tuple(before.shape)}"
            found.append(Discrepancy(name, why, torch.inf))
        elif name not in absorbed:
            if not torch.equal(before, after):
                found.append(Discrepancy(name, "changed, though no factor touches it", torch.inf))
        else:
            a = absorbed[name]
            found += _against_factors(name, before, after, factors, a.multiply, a.divide)
    return found


def _against_factors(
    name: str,
    before: Tensor,
    after: Tensor,
    factors: Float64[Tensor, " _"],
    multiply: Int64[Tensor, "..."],
    divide: Int64[Tensor, "..."],
) -> list[Discrepancy]:
    wrong, worst = 0, 0.0
    for part in _chunks(before):
        # Divided first: another order than Plan.rescale's.
        change = _narrow(factors[multiply], before, part) / _narrow(factors[divide], before, part)
        expected, found = before[part].double() * change.to(before.device), after[part]
        if torch.equal(expected.to(found.dtype), found):
            continue
        ulps = (found.double() - expected).abs() / _spacing(expected.to(found.dtype))
        wrong += int((~(ulps <= ULPS.get(found.dtype, HALF_PRECISION))).sum())  # NaN is wrong, too
        worst = max(worst, float(ulps.nan_to_num(nan=torch.inf).max()))
    if not wrong:
        return []
    why = f"{wrong:,} of its {before.numel():,} numbers are not the original's times their factors"
    return [Discrepancy(name, why, worst)]


def _chunks(tensor: Tensor) -> Iterator[Any]:
    """Indices that together take the whole tensor, some rows at a time."""
    if not tensor.ndim or not len(tensor):
        yield ...
        return
    rows = max(1, CHUNK // max(1, tensor[0].numel()))
    for start in range(0, len(tensor), rows):
        yield slice(start, start + rows)


def _narrow(values: Tensor, like: Tensor, part: Any) -> Tensor:
    """The rows of `values`, which broadcast to `like`, that belong to the rows `part` of it."""
    whole = values.ndim < like.ndim or not like.ndim or len(values) == 1
    return values if whole else values[part]


def _spacing(x: Tensor) -> Tensor:
    """The distance to the next number away from zero, in float64."""
    size = x.abs()
    return torch.nextafter(size, torch.full_like(size, torch.inf)).double() - size.double()
