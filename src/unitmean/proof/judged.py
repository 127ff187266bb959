"""The library's verdict on the very weights that a user will load."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isinf, isnan

import torch
from jaxtyping import Float64
from torch import Tensor

from unitmean.graph.observe import OUTPUT
from unitmean.graph.plan import Plan
from unitmean.proof.algebra import discrepancies
from unitmean.proof.invariance import Comparison, Deviation
from unitmean.proof.networks import PARTS

# Two right networks differ by at most twice float32's own error; the rest is a margin.
MAX_RATIO = 3.0
# The relative change that float64's rounding may cause with weights that were never rounded: so much, or so
# many times its error. Of that up to 2.4 were found in 14 right networks, and where rounding grows to a per
# mille, by chance up to 8. A number one unit of float32 off changes a million times as much as is allowed.
MAX_EXACT, MAX_EXACT_RATIO = 1e-12, 64.0
# Where the factors aren't known: the relative change allowed for the rounding of the file's weights. In
# float32 it comes on top of float32's own error: ROUNDED or, for a coarser type, STORED times the most that
# rounding the original's weights to it changes. In float64 it is MAX_ROUNDED, or the same if that is more.
ROUNDED = 1e-5
MAX_ROUNDED = 1e-3
STORED = 6.0
EPSILON = torch.finfo(torch.float32).eps


@dataclass(frozen=True)
class Proof:
    """Whether weights compute the original's function: true where they do.

    failures: a sentence for each violated bound, with what was allowed and found. deviations: by place; their
    `float32` is of the very weights, their `float64`, where the factors are known, of the original times
    these factors, never rounded.
    """

    comparison: Comparison
    failures: tuple[str, ...]

    @property
    def deviations(self) -> Mapping[str, Deviation]:
        return self.comparison.deviations

    @property
    def passed(self) -> bool:
        """Whether something was compared and nothing failed."""
        return bool(self.deviations) and not self.failures

    def __bool__(self) -> bool:
        return self.passed


def judged(
    comparison: Comparison,
    old: Mapping[str, Tensor],
    new: Mapping[str, Tensor],
    plan: Plan | None,
    factors: Float64[Tensor, " variables"],
) -> Proof:
    """The verdict on `new`: on what it computes and, where `plan` and factors are known, on every number."""
    failures = []
    if plan is not None:
        failures += [
            f"{d.tensor}: {d.why}; it must be the original's times its factors, rounded once, "
            f"found {d.ulps:.3g} units in the last place off"
            for d in discrepancies(plan, factors, old, new)
        ]
    if not comparison.deviations:
        failures.append("something must be compared; the network returned no numbers")
    for place, d in comparison.deviations.items():
        if plan is None:
            rounded = max(ROUNDED, STORED * d.stored_error)
            for precision, found, allowed in (
                ("float32", d.float32, MAX_RATIO * d.float32_error + rounded),
                ("float64", d.float64, max(MAX_ROUNDED, rounded)),
            ):
                if not found <= allowed or isinf(found):  # NaN fails
                    failures.append(_words(place, precision, allowed, found))
            continue
        if not d.float32_ratio <= MAX_RATIO:
            failures.append(_words(place, "float32", MAX_RATIO * d.float32_error, d.float32))
        exact = max(MAX_EXACT, MAX_EXACT_RATIO * d.float64_error)
        if not d.float64 <= exact:
            failures.append(_words(place, "float64, for the factors alone,", exact, d.float64))
    return Proof(comparison, tuple(failures))


def resolution(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> float:
    """The epsilon of the coarsest floating type among the weights that differ, at least float32's."""
    pairs = ((old[name], t) for name, t in new.items() if name in old and t.is_floating_point())
    changed = (after.dtype for before, after in pairs if not torch.equal(after.to(before.device), before))
    return max([EPSILON, *(torch.finfo(dtype).eps for dtype in changed)])


def coarsened(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """The weights `old` rounded in several ways to the types in which `new` is stored and loaded.

    Without types that resolve less than float32 there is nothing to round, and the list is empty.
    """
    coarse = {}
    for name, tensor in old.items():
        if tensor.is_floating_point():
            dtype = max(tensor.dtype, new[name].dtype, key=lambda dtype: torch.finfo(dtype).eps)
            if torch.finfo(dtype).eps > EPSILON:
                coarse[name] = dtype
    return [
        dict(old)
        | {name: (old[name].float() * part).to(dtype).float() / part for name, dtype in coarse.items()}
        for part in (PARTS[::4] if coarse else ())
    ]


def _words(place: str, precision: str, allowed: float, found: float) -> str:
    where = "the output" if place == OUTPUT else place
    if isnan(found) or isnan(allowed):
        said = "must hold numbers, and NaN only where the original does; found otherwise"
        return f"{where} in {precision} {said}"
    return f"{where} in {precision} must change by at most {allowed:.3g}, relatively; found {found:.3g}"
