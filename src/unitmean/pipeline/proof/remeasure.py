"""The rescaled network measured again: on images behind its factors, and on images held out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import UInt8
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
    """On images behind no factor: the sums by layer, and how both networks choose, if they classify."""

    sums: Sums
    behaviour: Behaviour | None


def held_out(
    original: Measurement,
    rescaled: Measurement,
    batches: Iterable[tuple[UInt8[Tensor, "_ 3 _ _"], Sequence[str | None]]],
    numbering: Callable[[int], Mapping[str, int] | None],
    noise: float,
) -> HeldOut:
    """Both networks on batches with the images' labels; `noise` as in `Behaviour`.

    `numbering` maps labels to so many classes as the networks have, or returns None.
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
    """factors.parquet with what its images' means are now, and what they must be.

    first, again: the sums of the first images under the original network, as collected, and under the
    rescaled one. Columns: site, channel, status, mean_before, factor; target, the old mean over the factor;
    mean_after, the old mean times what `again` is of `first`; error_after, its standard error; mean_heldout,
    error_heldout, and z, the distance of mean_heldout from mean_after in standard errors of their difference.
    The last three are empty where nothing was held out.
    """
    rows = factors[factors["site"] != OUTPUT].drop(columns="reason").rename(columns={"mean": "mean_before"})
    before, after = _column(rows, first, Moments.expectation), _column(rows, again, Moments.expectation)
    # A channel that is active on none of these images must not be so now.
    ratio = (after / before).where(before > 0, after.where(after > 0, 1 / rows["factor"]))
    table = rows.assign(
        target=rows["mean_before"] / rows["factor"],
        mean_after=rows["mean_before"] * ratio,
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

    It is `max_mean_ratio` times what float32 may do to the rectifier's input, at as many positions as are
    active, and one more; and `max_mean_error`, since a mean is itself rounded.
    """
    of_layer = {network.layer(site.name): rounding[site.name] for site in plan.sites}
    parts = []
    for site, rows in table.groupby("site", sort=False):
        moments, found = first[str(site)], of_layer[str(site)]
        active = moments.active_fraction() + 1 / (moments.images * found.positions)
        absolute = tolerances.max_mean_ratio * found.expected * active
        mean = moments.expectation()
        parts.append(pd.Series((absolute / mean).numpy(), index=rows.index))
    float32 = pd.concat(parts).reindex(table.index)
    return tolerances.max_mean_error + float32


def _column(rows: pd.DataFrame, sums: Sums, of: Callable[[Moments], Tensor]) -> pd.Series:
    if not sums:
        return pd.Series(np.nan, index=rows.index)
    columns = {site: of(moments).tolist() for site, moments in sums.items()}
    pairs = zip(rows["site"], rows["channel"], strict=True)
    return pd.Series([columns[site][channel] for site, channel in pairs], index=rows.index)


def live(means: pd.DataFrame) -> pd.DataFrame:
    """The rows of channels that were given a factor for their mean's sake."""
    return means[means["status"].isin(LIVE)]


def off(means: pd.DataFrame) -> pd.Series:
    """The relative errors of the live channels' means against their targets."""
    rows = live(means)
    return (rows["mean_after"] / rows["target"] - 1).abs()


def largest_error(means: pd.DataFrame) -> float:
    """The largest of them."""
    errors = off(means)
    return float(errors.max(skipna=False)) if len(errors) else 0.0


def largest_ratio(means: pd.DataFrame) -> float:
    """The largest of them in units of what is allowed: above 1 a mean is wrong."""
    ratios = off(means) / live(means)["allowed"]
    return float(ratios.max(skipna=False)) if len(ratios) else 0.0


def within(means: pd.DataFrame, errors: float) -> float | None:
    """The share of live channels whose held-out mean is within so many standard errors; None without any."""
    z = live(means)["z"].dropna()
    return float((z.abs() <= errors).mean()) if len(z) else None
