"""Scales as a table: what every channel was divided by, and why."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from unitmean.errors import WeightsError
from unitmean.graph.observe import OUTPUT
from unitmean.graph.plan import Plan
from unitmean.graph.variables import ONE
from unitmean.networks.architectures import Network


def to_frame(
    network: Network,
    plan: Plan,
    means: Mapping[str, Float64[Tensor, " _"]],
    scales: Float64[Tensor, " variables"],
    status: Mapping[str, list[str]],
) -> pd.DataFrame:
    """Columns site, channel, mean, scale, status, reason; a free output comes last, without means."""
    frames = [
        pd.DataFrame(
            {
                "site": network.layer(site.name),
                "channel": range(site.channels),
                "mean": means[site.name].numpy(),
                "scale": scales[site.variables].numpy(),
                "status": status[site.name],
                "reason": pd.array(list(site.reasons), dtype="str"),
            }
        )
        for site in plan.sites
    ]
    for ids in plan.outputs:
        if (ids != ONE).any():
            scale = scales[ids.reshape(-1)].numpy()
            frames.append(
                pd.DataFrame(
                    {"site": OUTPUT, "channel": range(len(scale)), "mean": np.nan, "scale": scale}
                    | {"status": OUTPUT, "reason": pd.array([None] * len(scale), dtype="str")}
                )
            )
    return pd.concat(frames, ignore_index=True)


def from_frame(network: Network, plan: Plan, frame: pd.DataFrame) -> Float64[Tensor, " variables"]:
    """The scale of every variable of the plan.

    Raises WeightsError where the table's sites or channels aren't the plan's, or tied channels disagree.
    """
    scales = torch.ones(plan.variables, dtype=torch.float64)
    by_site = {
        str(site): rows["scale"].to_numpy(copy=True) for site, rows in frame.groupby("site", sort=False)
    }
    for site in plan.sites:
        name = network.layer(site.name)
        found = torch.from_numpy(by_site.get(name, np.empty(0)))
        if len(found) != site.channels:
            raise WeightsError(
                f"scales must hold {site.channels} channels of {name}; found {len(found)}: "
                "run rescale_weights again"
            )
        if not (found.isfinite() & (found > 0)).all():
            raise WeightsError(
                f"scales must be positive and finite; found others in {name}: run rescale_weights again"
            )
        scales[site.variables] = found
        if not torch.equal(scales[site.variables], found):
            raise WeightsError(
                f"channels of {name} that share a variable must have one scale; found several: "
                "run rescale_weights again"
            )
    for site in plan.sites:  # a later site must not have changed an earlier one's
        name = network.layer(site.name)
        if not torch.equal(scales[site.variables], torch.from_numpy(by_site[name])):
            raise WeightsError(f"channels tied to {name} must have its scale; found another: rescale again")
    return scales
