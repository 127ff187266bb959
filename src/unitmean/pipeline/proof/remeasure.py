"""The rescaled network measured again: on the images its means come from, and on images held out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from unitmean.graph.observe import OUTPUT
from unitmean.graph.plan import Plan
from unitmean.networks.architectures import Network
from unitmean.proof.behaviour import Behaviour, together
from unitmean.statistics.mean import Means, mean_observer, measure_means

LIVE = ("normalised", "tied")
Batches = Iterable[Float[Tensor, "_ 3 _ _"]]


def again(rescaled: Network, plan: Plan, batches: Batches, size: int) -> dict[str, Means]:
    """The sums by the layers' names, on the images that the factors come from."""
    module, shown = _channels_last(rescaled, batches)
    found = measure_means(module, torch.zeros(1, 3, size, size), plan.sites, shown)
    return {rescaled.layer(site): means for site, means in found.items()}


@dataclass(frozen=True)
class HeldOut:
    """On images behind no factor: the sums by layer, and how both networks choose, if they classify."""

    means: Mapping[str, Means]
    behaviour: Behaviour | None


def held_out(
    original: Network,
    rescaled: Network,
    plan: Plan,
    batches: Iterable[tuple[Float[Tensor, "_ 3 _ _"], Sequence[str | None]]],
    numbering: Callable[[int], Mapping[str, int] | None],
    size: int,
    noise: float,
) -> HeldOut:
    """Both networks on batches with the images' labels; `noise` as in `Behaviour`.

    `numbering` maps labels to so many classes as the networks have, or returns None.
    """
    example = torch.zeros(1, 3, size, size)
    new, _ = _channels_last(rescaled, ())
    old, _ = _channels_last(original, ())
    classifies = not rescaled.truncated
    after = mean_observer(new, example, plan.sites, output=classifies)
    before = mean_observer(old, example, (), output=True) if classifies else None
    sums: dict[str, Means] = {}
    choices = []
    for x, labels in batches:
        x = original.input.apply(x).contiguous(memory_format=torch.channels_last)
        found = after(x)
        logits = found.pop(OUTPUT, None)
        for site, means in found.items():
            layer, batch = rescaled.layer(site), Means.of(means)
            sums[layer] = sums[layer] + batch if layer in sums else batch
        if before is not None and logits is not None and logits.ndim == 2:
            classes = numbering(logits.shape[1])
            known = None if classes is None else torch.tensor([classes[str(label)] for label in labels])
            choices.append(Behaviour.of(before(x)[OUTPUT], logits, known, noise))
    return HeldOut(sums, together(choices))


def mean_table(
    factors: pd.DataFrame, measured: Mapping[str, Means], held: Mapping[str, Means]
) -> pd.DataFrame:
    """factors.parquet with each channel's means measured again, and what they must be.

    Columns site, channel, status, mean_before, factor, target (the old mean over the factor), mean_after,
    error_after (its standard error), mean_heldout, error_heldout, and z: the held-out mean's distance from
    the one on the same images, in standard errors of their difference; empty where nothing was held out.
    """
    rows = factors[factors["site"] != OUTPUT].drop(columns="reason").rename(columns={"mean": "mean_before"})
    table = rows.assign(
        mean_after=_column(rows, measured, "mean"),
        target=rows["mean_before"] / rows["factor"],
        error_after=_column(rows, measured, "standard_error"),
        mean_heldout=_column(rows, held, "mean"),
        error_heldout=_column(rows, held, "standard_error"),
    )
    error = (table["error_after"].pow(2) + table["error_heldout"].pow(2)).pow(0.5)
    return table.assign(z=(table["mean_heldout"] - table["mean_after"]) / error.where(error > 0))


def _column(rows: pd.DataFrame, measured: Mapping[str, Means], name: str) -> list[float]:
    if not measured:
        return [np.nan] * len(rows)
    columns = {site: getattr(means, name).tolist() for site, means in measured.items()}
    pairs = zip(rows["site"], rows["channel"], strict=True)
    return [columns[site][channel] for site, channel in pairs]


def live(means: pd.DataFrame) -> pd.DataFrame:
    """The rows of channels that were given a factor for their mean's sake."""
    return means[means["status"].isin(LIVE)]


def largest_error(means: pd.DataFrame) -> float:
    """The largest relative error of a live channel's mean against its target."""
    rows = live(means)
    return float((rows["mean_after"] / rows["target"] - 1).abs().max(skipna=False)) if len(rows) else 0.0


def within(means: pd.DataFrame, errors: float) -> float | None:
    """The share of live channels whose held-out mean is within so many standard errors; None without any."""
    z = live(means)["z"].dropna()
    return float((z.abs() <= errors).mean()) if len(z) else None


def _channels_last(network: Network, batches: Batches) -> tuple[torch.nn.Module, Batches]:
    module = network.module.to(memory_format=torch.channels_last)
    shown = (network.input.apply(x).contiguous(memory_format=torch.channels_last) for x in batches)
    return module, shown
