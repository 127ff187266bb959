"""The rescaled network measured again: on images behind its factors, and on images held out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from unitmean.graph.observe import OUTPUT
from unitmean.graph.plan import Plan
from unitmean.networks.architectures import Network
from unitmean.pipeline.measure.measurement import Measurement, Sums
from unitmean.pipeline.proof.tolerances import Tolerances
from unitmean.proof.behaviour import Behaviour, together
from unitmean.proof.rounding import Rounding
from unitmean.statistics.moments import Moments

LIVE = ("normalised", "tied")


@dataclass(frozen=True)
class HeldOut:
    """On images that no factor rests on: sums by layer, and both networks' choices if they classify."""

    sums: Sums
    behaviour: Behaviour | None


def held_out(
    original: Measurement,
    rescaled: Measurement,
    batches: Iterable[tuple[UInt8[Tensor, "_ 3 _ _"], Sequence[str | None]]],
    numbering: Callable[[int], Mapping[str, int] | None],
    noise: float,
) -> HeldOut:
    """Run both networks on batches of images with labels; `noise` as in `Behaviour.of`.

    `numbering`, given the number of classes, returns the class of each label, or None.
    """
    chooser = replace(original, sites=())
    sums: Sums = {}
    choices = []
    for pixels, labels in batches:
        found, logits = rescaled.seen(pixels)
        sums = {site: sums[site] + found[site] for site in found} if sums else found
        if logits is not None and logits.ndim == 2:
            classes = numbering(logits.shape[1])
            known = None if classes is None else torch.tensor([classes[str(label)] for label in labels])
            _, before = chooser.seen(pixels)
            assert before is not None  # the same network with other weights
            choices.append(Behaviour.of(before, logits, known, noise))
    return HeldOut(sums, together(choices))


def mean_table(
    factors: pd.DataFrame, statistics: pd.DataFrame, first: Sums, again: Sums, held: Sums
) -> pd.DataFrame:
    """The channels of factors.parquet with their new means, and the means that they should have.

    first, again: the sums over the first images of the original and of the rescaled network, in float32.
    held: the rescaled network's sums over held-out images. Columns: site, channel, status, mean_before,
    factor; target, the old mean over the factor; mean_after, the old mean times the ratio of `again` to
    `first` or, of a channel that `first` never saw active, the target plus the mean of `again`; error_after,
    its standard error; mean_heldout, error_heldout, and z, the distance of mean_heldout from mean_after in
    standard errors of their difference. The last three are empty where nothing was held out.
    """
    rows = factors[factors["site"] != OUTPUT].drop(columns="reason").rename(columns={"mean": "mean_before"})
    before, after = _column(rows, first, Moments.expectation), _column(rows, again, Moments.expectation)
    target = rows["mean_before"] / rows["factor"]
    table = rows.assign(
        target=target,
        # A channel that is active on none of these images must not be so now.
        mean_after=(rows["mean_before"] * after / before).where(before != 0, target + after),
        error_after=statistics["standard_error"].to_numpy() / rows["factor"],
        mean_heldout=_column(rows, held, Moments.expectation),
        error_heldout=_column(rows, held, Moments.standard_error),
    )
    error = (table["error_after"].pow(2) + table["error_heldout"].pow(2)).pow(0.5)
    return table.assign(z=(table["mean_heldout"] - table["mean_after"]) / error.where(error > 0))


def tolerated(
    table: pd.DataFrame,
    first: Sums,
    rounding: Mapping[str, Rounding],
    network: Network,
    plan: Plan,
    tolerances: Tolerances,
) -> pd.Series:
    """The relative error allowed to each channel's new mean.

    It is `max_mean_ratio` times the error that float32 may make in the mean, plus `max_mean_error`, since a
    mean is itself rounded. Float32's error is that of the rectifier's input, times the share of positions
    that are active, one more included. It is relative to the mean over the `first` images or, where that is
    zero, to the mean over all.
    """
    layers = {site.name: network.layer(site.name) for site in plan.sites}
    errors = _expected(rounding, {name: first[layer].maximum for name, layer in layers.items()}, plan)
    named = {layer: name for name, layer in layers.items()}
    parts = []
    for site, rows in table.groupby("site", sort=False):
        moments, name = first[str(site)], named[str(site)]
        active = moments.active_fraction() + 1 / (moments.images * rounding[name].positions)
        absolute = tolerances.max_mean_ratio * errors[name] * active
        seen = moments.expectation()
        mean = torch.where(seen != 0, seen, torch.from_numpy(rows["mean_before"].to_numpy(copy=True)))
        parts.append(pd.Series((absolute / mean.abs()).numpy(), index=rows.index))
    float32 = pd.concat(parts).reindex(table.index)
    return tolerances.max_mean_error + float32


def _expected(
    rounding: Mapping[str, Rounding], peaks: Mapping[str, Float64[Tensor, " channels"]], plan: Plan
) -> dict[str, Float64[Tensor, " channels"]]:
    """By site, the error that float32 is expected to make in the input of each channel.

    What was rectified before and is rectified again, as behind a block that adds nothing, shows less of its
    error where the channel is inactive, or none. So a channel is expected to err as much as any that shares
    its factor: they are added to one another, and pass their errors on.
    """
    shared = torch.zeros(plan.variables, dtype=torch.float64)
    for site in plan.sites:
        shared.scatter_reduce_(0, site.variables, rounding[site.name].expected(peaks[site.name]), "amax")
    return {site.name: shared[site.variables] for site in plan.sites}


def _column(rows: pd.DataFrame, sums: Sums, of: Callable[[Moments], Tensor]) -> pd.Series:
    if not sums:
        return pd.Series(np.nan, index=rows.index)
    columns = {site: of(moments).tolist() for site, moments in sums.items()}
    pairs = zip(rows["site"], rows["channel"], strict=True)
    return pd.Series([columns[site][channel] for site, channel in pairs], index=rows.index)


def live(means: pd.DataFrame) -> pd.DataFrame:
    """The rows of channels whose factor follows from their statistic: those normalised or tied."""
    return means[means["status"].isin(LIVE)]


def off(means: pd.DataFrame) -> pd.Series:
    """The relative errors of the live channels' means against their targets."""
    rows = live(means)
    return (rows["mean_after"] / rows["target"] - 1).abs()


def largest_error(means: pd.DataFrame) -> float:
    """The largest relative error of a live channel's mean; 0 without live channels."""
    errors = off(means)
    return float(errors.max(skipna=False)) if len(errors) else 0.0


def largest_ratio(means: pd.DataFrame) -> float:
    """The largest error of a live channel's mean in units of the allowed one: above 1 a mean is wrong."""
    ratios = off(means) / live(means)["allowed"]
    return float(ratios.max(skipna=False)) if len(ratios) else 0.0


def within(means: pd.DataFrame, errors: float) -> float | None:
    """The share of live channels whose held-out mean is within so many standard errors; None without any."""
    z = live(means)["z"].dropna()
    return float((z.abs() <= errors).mean()) if len(z) else None
