"""The proof that a rescaled file computes the old function and has the means it should have."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from unitmean.core.invariance import Comparison, Networks, compare
from unitmean.core.mean import channel_means
from unitmean.core.observe import OUTPUT, Observer, observe
from unitmean.core.plan import Plan
from unitmean.disk.networks import Stored
from unitmean.networks.architectures import Network, build


@dataclass(frozen=True)
class Tolerances:
    """What a proof allows; see `Verify` in the schema."""

    max_float64_difference: float
    max_float32_ratio: float
    max_mean_error: float
    min_top1_agreement: float


def differing_tensors(
    original: Stored, rescaled: Stored, plan: Plan, scales: Float64[Tensor, " _"]
) -> list[str]:
    """Tensors of the file that are not, bit for bit, the original's times their scales."""
    expected = plan.rescale(scales, original.state)
    found = rescaled.state
    ordered = original.network.module.state_dict()  # a file's order is the alphabet's
    return [name for name in ordered if name not in found or not torch.equal(expected[name], found[name])]


def compare_networks(
    original: Stored,
    rescaled: Stored,
    plan: Plan,
    scales: Float64[Tensor, " _"],
    model: Mapping[str, str],
    inputs: Iterable[Float[Tensor, "_ 3 _ _"]],
    example: Float[Tensor, "n 3 h w"],
) -> Comparison:
    """Differences at every rectifier and at the output, in float64 and float32."""
    places = [site.name for site in plan.sites] + [OUTPUT]
    double = {name: t.double() if t.is_floating_point() else t for name, t in original.state.items()}
    exact = plan.rescale(scales, original.state, dtype=torch.float64)

    def observer(state: Mapping[str, Tensor], dtype: torch.dtype) -> Observer:
        module = build(state_dict=state, input=original.network.input, **model).module  # type: ignore[arg-type]
        return observe(module, example.to(dtype), places)

    networks = Networks(
        observer(double, torch.float64),
        observer(exact, torch.float64),
        observer(original.state, torch.float32),
        observer(rescaled.state, torch.float32),
    )
    undo = {site.name: site.along(scales[site.variables]) for site in plan.sites}
    return compare(networks, undo | {OUTPUT: scales[plan.outputs[0]]}, inputs)


def mean_table(
    rescaled: Network, plan: Plan, table: pd.DataFrame, batches: Iterable[Float[Tensor, "_ 3 _ _"]], size: int
) -> pd.DataFrame:
    """Columns site, channel, status, mean_before, mean_after (measured again), target.

    `table` is scales.parquet's. The target of a mean is its old value divided by its scale.
    """
    module = rescaled.module.to(memory_format=torch.channels_last)
    shown = (rescaled.input.apply(x).contiguous(memory_format=torch.channels_last) for x in batches)
    after = channel_means(module, torch.zeros(1, 3, size, size), plan.sites, shown)
    rows = table[table["site"] != OUTPUT].drop(columns="reason").rename(columns={"mean": "mean_before"})
    measured = {rescaled.layer(site): mean.numpy() for site, mean in after.items()}
    return rows.assign(
        mean_after=[
            measured[site][channel] for site, channel in zip(rows["site"], rows["channel"], strict=True)
        ],
        target=rows["mean_before"] / rows["scale"],
    )


def mean_error(means: pd.DataFrame) -> float:
    """The largest relative error of a live channel's mean against its target."""
    live = means[means["status"].isin(["normalised", "tied"])]
    return float((live["mean_after"] / live["target"] - 1).abs().max()) if len(live) else 0.0


def failures(
    comparison: Comparison,
    layers: Mapping[str, str],
    differing: list[str],
    means: pd.DataFrame,
    tolerances: Tolerances,
    rounding: str,
) -> Iterator[str]:
    """What does not hold, each with what was found and where."""
    if differing:
        yield (
            f"every tensor must be the original's times its scales; found others in {len(differing)}: "
            f"{', '.join(differing[:5])}"
        )
    for place, found in comparison.deviations.items():
        where = layers.get(place, place)
        # `not <=` also catches NaN
        if not found.float64 <= tolerances.max_float64_difference:
            yield (
                f"float64 must differ by at most {tolerances.max_float64_difference:g} at {where}; "
                f"found {found.float64:.3g}"
            )
        if not found.float32 <= tolerances.max_float32_ratio * found.float32_error:
            yield (
                f"float32 must differ by at most {tolerances.max_float32_ratio:g} times its own error of "
                f"{found.float32_error:.3g} at {where}; found {found.float32:.3g}"
            )
    agreement = comparison.top1_agreement
    if agreement is not None and not agreement >= tolerances.min_top1_agreement:
        yield f"top-1 must agree on {tolerances.min_top1_agreement:.0%} of the inputs; found {agreement:.1%}"
    if rounding == "pow2" and not comparison.bit_identical:
        yield "with scales that are powers of two the float32 outputs must be equal bit for bit; they are not"
    if not mean_error(means) <= tolerances.max_mean_error:
        live = means[means["status"].isin(["normalised", "tied"])]
        worst = live.iloc[int((live["mean_after"] / live["target"] - 1).abs().argmax())]
        yield (
            f"the mean of channel {worst['channel']} of {worst['site']} must be {worst['target']:.6g} within "
            f"{tolerances.max_mean_error:g}; found {worst['mean_after']:.6g}"
        )
