"""From measured means to the factors that make them one."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from unitmean.graph.plan import Plan
from unitmean.graph.variables import ONE

ROUNDINGS = ("none", "pow2")


def require_rounding(rounding: str) -> None:
    """ValueError for an unknown rounding."""
    if rounding not in ROUNDINGS:
        raise ValueError(f"rounding must be one of {', '.join(ROUNDINGS)}; found {rounding!r}")


def choose(
    plan: Plan,
    means: Mapping[str, Float64[Tensor, " _"]],
    alive: Mapping[str, Bool[Tensor, " _"]],
    *,
    rounding: str = "none",
) -> Float64[Tensor, " variables"]:
    """Each variable's factor: the geometric mean of its live channels' means; one where none is alive.

    rounding: "none", or "pow2" for the nearest power of two (in the logarithm).
    """
    require_rounding(rounding)
    logarithm, count = torch.zeros(2, plan.variables, dtype=torch.float64)
    for site in plan.sites:
        live = alive[site.name] & (site.variables != ONE)
        logarithm.index_add_(0, site.variables[live], means[site.name][live].log2())
        count.index_add_(0, site.variables[live], torch.ones(int(live.sum()), dtype=torch.float64))
    exponent = logarithm / count.clamp_min(1)
    factors: Tensor = (exponent.round() if rounding == "pow2" else exponent).exp2()
    return factors


def status(
    plan: Plan, alive: Mapping[str, Bool[Tensor, " _"]], values: Mapping[str, Float64[Tensor, " _"]]
) -> dict[str, list[str]]:
    """Of each site's channels: "normalised", "tied" (shares its factor), or why it doesn't count.

    That is "pinned" (factor one), "negative" (of its value, the statistic that is to be one) or "dead".
    """
    members = torch.zeros(plan.variables, dtype=torch.int64)
    for site in plan.sites:
        members.index_add_(0, site.variables, alive[site.name].to(torch.int64))
    return {
        site.name: [
            "pinned" if v == ONE else left if not live else "tied" if members[v] > 1 else "normalised"
            for v, live, left in zip(
                site.variables.tolist(), alive[site.name].tolist(), _left(values[site.name]), strict=True
            )
        ]
        for site in plan.sites
    }


def _left(values: Float64[Tensor, " _"]) -> list[str]:
    """Why each channel doesn't count if it doesn't."""
    return ["negative" if value < 0 else "dead" for value in values.tolist()]
