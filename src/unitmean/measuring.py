"""The moments of any module's rectifiers, over batches from anywhere."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from unitmean.arguments import require_model, require_plan, require_settings
from unitmean.batches import Batches
from unitmean.errors import DataError, WeightsError
from unitmean.graph.inputs import Inputs, tensors
from unitmean.graph.observe import reduce_at
from unitmean.graph.plan import Plan
from unitmean.graph.running import Running
from unitmean.graph.unwrapped import inside, unwrapped
from unitmean.statistics.moments import Moments, Statistics, per_image, per_image_at_once, with_counts


def measure(
    model: nn.Module,
    batches: Iterable[Any],
    plan: Plan,
    *,
    histograms: bool = False,
    target_standard_error: float | None = None,
    progress: bool = False,
) -> Statistics:
    """The moments of every rectifier's channels over images and positions, by site, in one pass.

    Those are sums over images; a channel's mean is `found[site].expectation()`, see `Moments`.

    histograms: count activations too, which the statistic "quantile" needs. target_standard_error: stop at
    the first batch after which nine channels in ten that are active have a relative standard error of at most
    this. progress: a bar on the terminal. Sums stay where the model lies and come to the CPU at the end.

    Raises DataError where there is no batch, or one holds NaN or infinities, or activations overflow;
    WeightsError where the weights hold NaN or infinities; NetworkError where the model can't be traced.
    """
    require_model(model)
    require_plan(plan)
    require_settings(target_standard_error=target_standard_error)
    given = Batches(batches, model, "measuring", progress)
    return measured(model, given, plan, histograms=histograms, target=target_standard_error)


def measured(
    model: nn.Module, batches: Batches, plan: Plan, *, histograms: bool, target: float | None
) -> Statistics:
    """`measure`, for batches whose first one has been read already."""
    inner, prefix = unwrapped(model)
    state, device = inside(model.state_dict(), prefix), device_of(model)
    _require_finite(model)
    plain = per_image_at_once if device.type == "cuda" else per_image
    reduction = with_counts(plain) if histograms else plain
    running = Running(
        lambda x, free: reduce_at(inner, x, plan.sites, reduction, free=free), floating_type(model), device
    )
    dtype = _precise(model)
    observer = running.carrying(state, dtype)
    sums: Statistics = {}
    for number, x in enumerate(batches):
        _require_finite_input(x, number)
        found = {site: Moments.of(moments) for site, moments in observer(x).items()}
        _require_finite_sums(found, number, dtype)
        sums = {site: sums[site] + found[site] for site in found} if sums else found
        if batches.shown or target is not None:
            error = _error(sums)
            batches.note(f"standard error {error:.1%}")
            if target is not None and error <= target:
                break
    return {site: moments.to("cpu") for site, moments in sums.items()}


def _precise(model: nn.Module) -> torch.dtype:
    """The type that a model is measured in: its own, but float32 for half precision."""
    floating = floating_type(model)
    return torch.float32 if floating.itemsize < 4 else floating


def floating_type(model: nn.Module) -> torch.dtype:
    """The type of the model's first floating parameter or, where there is none, of its first such tensor."""
    tensors = (*model.parameters(), *model.state_dict().values())
    return next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)


def device_of(model: nn.Module) -> torch.device:
    """Where the model's first tensor lies."""
    return next((t.device for t in model.state_dict().values()), torch.device("cpu"))


def _require_finite(model: nn.Module) -> None:
    """Parameters must be finite; buffers may hold infinities, as masks do, but no NaN."""
    parameters = dict(model.named_parameters())
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        bad = ~tensor.isfinite() if name in parameters else tensor.isnan()
        if count := int(bad.sum()):
            raise WeightsError(
                f"weights must be finite; found {count} NaN or infinite numbers of {tensor.numel()} in "
                f"{name!r}: load the model again, or another one"
            )


def _require_finite_input(x: Inputs, number: int) -> None:
    # Checked here, as a rectifier turns minus infinity into zero.
    if not all(bool(t.isfinite().all()) for t in tensors(x)):
        raise DataError(
            f"batches must be finite; found NaN or infinities in batch {number} (the first is 0): mend it or "
            "leave it out"
        )


def type_name(dtype: torch.dtype) -> str:
    """As people write it: "float32"."""
    return str(dtype).removeprefix("torch.")


def _require_finite_sums(found: Statistics, number: int, dtype: torch.dtype) -> None:
    # One transfer from the device for all sites, so that the program waits for a GPU only once.
    finite = torch.stack([moments.square.isfinite().all() for moments in found.values()]).tolist()
    for site, fine in zip(found, finite, strict=True):
        if not fine:
            raise DataError(
                f"activations must be finite, and their squares, too, which {type_name(dtype)} holds up to "
                f"{torch.finfo(dtype).max ** 0.5:.2g}; found others at {site} in batch {number} (the first "
                "is 0), itself finite: they overflow there; scale the input as the model expects it"
                f"{'' if dtype == torch.float64 else ', or normalise model.double()'}"
            )


def _error(sums: Statistics) -> float:
    """The relative standard error that 9 active channels of 10 don't exceed; infinity if there is none."""
    means = torch.cat([moments.expectation() for moments in sums.values()])
    errors = torch.cat([moments.standard_error() for moments in sums.values()])
    relative = (errors / means.abs())[means != 0]
    relative = relative[relative.isfinite()]
    return float(relative.quantile(0.9)) if len(relative) else float("inf")
