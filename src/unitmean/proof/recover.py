"""The factors between two networks, from their weights alone."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from unitmean.graph.absorb import Absorption
from unitmean.graph.plan import Plan
from unitmean.graph.variables import ONE

# A median of so many ratios is as good as that of a hundred thousand.
SAMPLE = 4096


@dataclass(frozen=True)
class Recovered:
    """factors: of every variable, one where no weight tells. off: by tensor, the largest difference of
    a number from the original's times its factors, relative to it or, where it is zero, to the tensor's
    largest; and at how many it exceeds the tolerance."""

    factors: Float64[Tensor, " variables"]
    off: Mapping[str, tuple[float, int]]

    @property
    def same(self) -> bool:
        """Whether every filter is the original's times its factors."""
        return all(count == 0 for _, count in self.off.values())


def recover(plan: Plan, old: Mapping[str, Tensor], new: Mapping[str, Tensor], tolerance: float) -> Recovered:
    """Each channel's factor is the median ratio of its filter's weights, once its inputs' factors are known.

    `tolerance`: the relative difference allowed to a weight. Both dicts hold the plan's tensors.
    """
    factors = torch.full((plan.variables,), torch.nan, dtype=torch.float64)
    factors[ONE] = 1
    for _ in range(len(plan.absorptions)):
        before = int(factors.isnan().sum())
        for absorption in plan.absorptions:
            _estimate(absorption, old[absorption.name], new[absorption.name], factors)
        if int(factors.isnan().sum()) == before:
            break
    factors = torch.where(factors.isnan(), 1.0, factors)
    absorbed = {a.name: a for a in plan.absorptions}
    off = {name: _off(absorbed.get(name), old[name], new[name], factors, tolerance) for name in old}
    return Recovered(factors, off)


def _estimate(a: Absorption, old: Tensor, new: Tensor, factors: Tensor) -> None:
    if not bool(factors[a.divide].isnan().any()):
        return
    ids = a.divide.expand(old.shape).reshape(len(old), -1)
    step = max(1, ids.shape[1] // SAMPLE)
    ratio = (factors[a.multiply] * old.double() / new.double()).reshape(len(old), -1)[:, ::step]
    ids = ids[:, ::step]
    ratio[~(ratio.isfinite() & (ratio > 0))] = torch.nan
    if bool((ids == ids[:, :1]).all()):
        variables, found = ids[:, 0], ratio.nanmedian(1).values
    else:
        variables = ids.unique()
        found = torch.stack([ratio[ids == variable].nanmedian() for variable in variables])
    unknown = factors[variables].isnan()
    factors[variables[unknown]] = found[unknown]


def _off(
    a: Absorption | None, old: Tensor, new: Tensor, factors: Tensor, tolerance: float
) -> tuple[float, int]:
    if not old.is_floating_point():
        return 0.0, 0  # counters, which inference never reads
    expected = old.double()
    if a is not None:
        expected = expected * factors[a.multiply] / factors[a.divide]
    size = expected.abs()
    size = torch.where(size > 0, size, size.amax())  # a zero's difference counts by the largest number
    difference = (new.double() - expected).abs()
    difference = torch.where(difference > 0, difference / size, 0.0)
    return float(difference.amax()), int((~(difference <= tolerance)).sum())
