"""Factors as a table: what every channel was divided by, and why."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from unitmean.errors import WeightsError
from unitmean.graph.observe import OUTPUT
from unitmean.graph.plan import Plan, Site
from unitmean.graph.variables import ONE
from unitmean.networks.architectures import Network

WHY = {
    "dead": "never active, or too seldom for its mean to be known: its factor is one, unless it shares it "
    "with live channels",
    "negative": "what was to be one is negative, as a mean behind a leaky rectifier may be: its factor is "
    "one, unless it shares it with others",
    "tied": "shares its factor with channels that it is added to",
}


def to_frame(
    network: Network,
    plan: Plan,
    means: Mapping[str, Float64[Tensor, " _"]],
    factors: Float64[Tensor, " variables"],
    status: Mapping[str, list[str]],
) -> pd.DataFrame:
    """Columns site, channel, mean, factor, status, reason; a free output comes last, without means."""
    frames = [
        pd.DataFrame(
            {
                "site": network.layer(site.name),
                "channel": range(site.channels),
                "mean": means[site.name].numpy(),
                "factor": factors[site.variables].numpy(),
                "status": status[site.name],
                "reason": pd.array(_reasons(site, status[site.name]), dtype="str"),
            }
        )
        for site in plan.sites
    ]
    for ids in plan.outputs:
        if (ids != ONE).any():
            factor = factors[ids.reshape(-1)].numpy()
            frames.append(
                pd.DataFrame(
                    {"site": OUTPUT, "channel": range(len(factor)), "mean": np.nan, "factor": factor}
                    | {"status": OUTPUT, "reason": pd.array([None] * len(factor), dtype="str")}
                )
            )
    return pd.concat(frames, ignore_index=True)


def of_output(frame: pd.DataFrame) -> list[float] | None:
    """The factors of a free output, by channel; None where the output is the original's."""
    found: list[float] = frame.loc[frame["site"] == OUTPUT, "factor"].tolist()
    return found or None


def _reasons(site: Site, status: Sequence[str]) -> list[str | None]:
    """Why each channel that isn't simply normalised is not; None for the others."""
    return [WHY.get(state, reason) for state, reason in zip(status, site.reasons, strict=True)]


def from_frame(network: Network, plan: Plan, frame: pd.DataFrame) -> Float64[Tensor, " variables"]:
    """The factor of every variable of the plan.

    Raises WeightsError where the table's sites or channels aren't the plan's, or tied channels disagree.
    """
    factors = torch.ones(plan.variables, dtype=torch.float64)
    by_site = {
        str(site): rows["factor"].to_numpy(copy=True) for site, rows in frame.groupby("site", sort=False)
    }
    for site in plan.sites:
        name = network.layer(site.name)
        found = torch.from_numpy(by_site.get(name, np.empty(0)))
        if len(found) != site.channels:
            raise WeightsError(
                f"factors must hold {site.channels} channels of {name}; found {len(found)}: "
                "run rescale_weights again"
            )
        if not (found.isfinite() & (found > 0)).all():
            raise WeightsError(
                f"factors must be positive and finite; found others in {name}: run rescale_weights again"
            )
        factors[site.variables] = found
        if not torch.equal(factors[site.variables], found):
            raise WeightsError(
                f"channels of {name} that share a variable must have one factor; found several: "
                "run rescale_weights again"
            )
    for site in plan.sites:  # a later site must not have changed an earlier one's
        name = network.layer(site.name)
        if not torch.equal(factors[site.variables], torch.from_numpy(by_site[name])):
            raise WeightsError(f"channels tied to {name} must have its factor; found another: rescale again")
    return factors
