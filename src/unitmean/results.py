"""What `normalise` returns."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from unitmean.graph.plan import Plan
from unitmean.graph.variables import ONE
from unitmean.measuring import Statistics


@dataclass(frozen=True)
class Normalised:
    """New weights, the factors that made them (one a variable of the plan), and what they rest on.

    By site: `dead` are the channels that keep the factor one because they are hardly ever active, `negative`
    those that a leaky rectifier lets be active with a mean below zero, which no factor makes one: with
    statistic="rms" they are normalised.
    """

    state: dict[str, Tensor]
    factors: Float64[Tensor, " variables"]
    plan: Plan
    statistics: Statistics
    dead: dict[str, list[int]]
    negative: dict[str, list[int]]

    @property
    def tied(self) -> dict[str, list[int]]:
        """By site, the channels that share their factor with other channels."""
        every = torch.cat([site.variables.unique() for site in self.plan.sites])
        return {site.name: shared for site in self.plan.sites if (shared := _shared(site.variables, every))}

    def __repr__(self) -> str:
        rows: list[tuple[str, ...]] = [
            ("rectifier", "channels", "free", "tied", "dead", "negative", "statistic before")
        ]
        lists = (self.tied, self.dead, self.negative)
        for site in self.plan.sites:
            mean = self.statistics[site.name].expectation()
            counted = [str(len(found.get(site.name, []))) for found in lists]
            free = str(int((site.variables != ONE).sum()))
            rows.append(
                (site.name, str(site.channels), free, *counted, f"mean {mean.min():.3g} to {mean.max():.3g}")
            )
        return "\n".join([f"Normalised, {len(self.state)} tensors", *_columns(rows)])


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _shared(variables: Tensor, every: Tensor) -> list[int]:
    """Channels whose variable another channel here, or another site, has as well."""
    here = (variables[:, None] == variables[None, :]).sum(1) > 1
    there = (every[None, :] == variables[:, None]).sum(1) > 1
    return ((here | there) & (variables != ONE)).nonzero().flatten().tolist()
