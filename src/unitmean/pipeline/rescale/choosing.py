"""The factor of every channel, from the table of statistics and the rules of params.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd
from jaxtyping import Bool, Float64
from torch import Tensor

from unitmean.graph.plan import Plan
from unitmean.networks.architectures import Network
from unitmean.pipeline.rescale.factors import to_frame
from unitmean.pipeline.rescale.statistics import column, living, measured
from unitmean.statistics.factors import choose, status
from unitmean.statistics.kinds import statistics


@dataclass(frozen=True)
class Rules:
    """The keys of params.yaml's section `rescale` that decide on the factors; the schema explains them."""

    rounding: str
    statistic: str
    quantile: float
    min_active_fraction: float
    max_relative_error: float

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Rules":
        """The rules among the settings of the section `rescale`."""
        return cls(**{field.name: settings[field.name] for field in fields(cls)})

    def record(self, outputs: str) -> dict[str, Any]:
        """What the rescaled file's metadata say of the rules, and of what becomes of free outputs."""
        return {
            "outputs": outputs,
            "rounding": self.rounding,
            "statistic": self.statistic,
            "quantile": self.quantile if statistics()[self.statistic].counted else None,
        }


@dataclass(frozen=True)
class Chosen:
    """factors: of every variable of the plan. target: by site, what is to be one of each channel. live: which
    channels can be divided by it. table: factors.parquet, as `to_frame` returns it."""

    factors: Float64[Tensor, " variables"]
    target: Mapping[str, Float64[Tensor, " channels"]]
    live: Mapping[str, Bool[Tensor, " channels"]]
    table: pd.DataFrame


def choose_factors(network: Network, plan: Plan, table: pd.DataFrame, rules: Rules) -> Chosen:
    """The factors that the rules make of the table of statistics; errors as of `column` and `measured`."""
    target = measured(network, plan, table, rules.statistic, rules.quantile)
    live = living(network, plan, table, target, rules.min_active_fraction, rules.max_relative_error)
    factors = choose(plan, target, live, rounding=rules.rounding)
    mean = column(network, plan, table, "mean")
    frame = to_frame(network, plan, mean, factors, status(plan, live, target))
    return Chosen(factors, target, live, frame)
