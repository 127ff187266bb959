"""The library: normalise any module that torch.export takes, with batches from anywhere.

    result = unitmean.normalise(model, loader)
    model.load_state_dict(result.state)

Batches are tensors `n …` as the model takes them, or tuples that begin with one, as a DataLoader gives them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor, nn

from unitmean.errors import DataError
from unitmean.graph.analysis import analyse
from unitmean.graph.observe import OUTPUT, Observer, observe, reduce_at, without_gradient
from unitmean.graph.plan import Plan
from unitmean.graph.reload import double, reloaded
from unitmean.graph.strict import require_rectifier, require_whole
from unitmean.proof.invariance import compare, observed
from unitmean.proof.judged import Proof, judged
from unitmean.statistics.alive import alive
from unitmean.statistics.factors import choose
from unitmean.statistics.kinds import values
from unitmean.statistics.moments import Moments, per_image, with_counts

Statistics = dict[str, Moments]


@dataclass(frozen=True)
class Normalised:
    """New weights, the factors that made them (one a variable of the plan), and what they rest on.

    `dead` are the channels, by site, that keep the factor one because they are hardly ever active.
    """

    state: dict[str, Tensor]
    factors: Float64[Tensor, " variables"]
    plan: Plan
    statistics: Statistics
    dead: dict[str, list[int]]


def measure(model: nn.Module, batches: Iterable[Any], plan: Plan, *, histograms: bool = False) -> Statistics:
    """The moments of every rectifier's channels over images and positions, by site, in one pass.

    histograms: count activations too, which the statistic "quantile" needs.

    Raises DataError where there is no batch, NetworkError where the model can't be traced.
    """
    first, rest = _peek(batches)
    reduction = with_counts(per_image) if histograms else per_image
    observer = without_gradient(reduce_at(model, first, plan.sites, reduction))
    sums: Statistics = {}
    for x in rest:
        for site, found in observer(x).items():
            moments = Moments.of(found.cpu())
            sums[site] = sums[site] + moments if site in sums else moments
    return sums


def factors(
    plan: Plan,
    statistics: Statistics,
    *,
    statistic: str = "mean",
    quantile: float = 0.999,
    rounding: str = "none",
    min_active_fraction: float = 1e-6,
    max_relative_error: float = 0.9,
) -> Float64[Tensor, " variables"]:
    """What each variable's activations are to be divided by, so that `statistic` is one.

    statistic: "mean", "rms", "max", or "quantile" for the value below which the share `quantile` of a
    channel's positions lies, in statistics with histograms. rounding: "none" or "pow2". Channels that share a
    variable take the geometric mean. The factor stays one where the statistic is zero, the channel is active
    at fewer positions than `min_active_fraction`, or its mean has a larger relative standard error than
    `max_relative_error`.
    """
    values = _values(statistics, statistic, quantile)
    live = _alive(statistics, values, min_active_fraction, max_relative_error)
    return choose(plan, values, live, rounding=rounding)


def normalise(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    statistic: str = "mean",
    quantile: float = 0.999,
    rounding: str = "none",
    outputs: str = "preserve",
    strict: bool = True,
    min_active_fraction: float = 1e-6,
    max_relative_error: float = 0.9,
) -> Normalised:
    """Weights for the same class whose channels have mean activation one and whose output is the same.

    The model, in eval mode, is left alone. outputs: "normalise" divides a rectified output too, by factors
    that `plan.outputs` picks from `factors`. See `factors` for the rest.

    Raises NetworkError for a model in training mode, one that torch.export can't trace and, unless
    `strict=False`, one that can be normalised only in part; DataError where there is no batch.
    """
    first, rest = _peek(batches)
    plan = analyse(model, first, outputs=outputs)
    require_rectifier(plan)
    if strict:
        require_whole(plan, "strict=False")
    statistics = measure(model, rest, plan, histograms=statistic == "quantile")
    values = _values(statistics, statistic, quantile)
    live = _alive(statistics, values, min_active_fraction, max_relative_error)
    chosen = choose(plan, values, live, rounding=rounding)
    dead = {site: (~channels).nonzero().flatten().tolist() for site, channels in live.items()}
    return Normalised(plan.rescale(chosen), chosen, plan, statistics, {s: c for s, c in dead.items() if c})


def verify(
    model: nn.Module,
    state: Mapping[str, Tensor],
    batches: Iterable[Any],
    result: Normalised | None = None,
) -> Proof:
    """Whether the model computes with the weights `state` what it computes with its own; true where it does.

    With `result`, what `normalise` returned, every number of `state` is compared with the original's times
    its factors, and the activations of every rectifier too, once the factors are undone; the deviations'
    float64 is then of weights that were never rounded. Without it the outputs alone are compared.

    Raises DataError where there is no batch, NetworkError for a model that returns more than one tensor.
    """
    first, rest = _peek(batches)
    plan = result.plan if result else None
    scales = result.factors if result else torch.ones(1, dtype=torch.float64)
    places = [site.name for site in plan.sites] if plan else []

    def observer(weights: Mapping[str, Tensor], dtype: torch.dtype) -> Observer:
        return observe(reloaded(model, weights), first.to(dtype), [*places, OUTPUT])

    original = model.state_dict()
    exact = plan.rescale(scales, original, dtype=torch.float64) if plan else double(state)
    right = plan.rescale(scales, original) if plan else state
    networks = observed(observer, original, exact, right, state)
    undo = {site.name: site.along(scales[site.variables]) for site in plan.sites} if plan else {}
    undone = {place: scale.to(first.device) for place, scale in undo.items()}
    output = scales[plan.outputs[0]] if plan else scales
    comparison = compare(networks, undone | {OUTPUT: output.to(first.device)}, rest)
    return judged(comparison, original, state, plan, scales)


def _values(statistics: Statistics, statistic: str, quantile: float) -> dict[str, Float64[Tensor, " _"]]:
    return values(statistic, {site: moments.summary() for site, moments in statistics.items()}, quantile)


def _alive(
    statistics: Statistics,
    values: Mapping[str, Float64[Tensor, " _"]],
    min_active_fraction: float,
    max_relative_error: float,
) -> dict[str, Bool[Tensor, " _"]]:
    return {
        site: (values[site] > 0)
        & alive(
            moments.expectation(),
            moments.standard_error(),
            moments.active_fraction(),
            min_active_fraction=min_active_fraction,
            max_relative_error=max_relative_error,
        )
        for site, moments in statistics.items()
    }


def _peek(batches: Iterable[Any]) -> tuple[Float[Tensor, "n ..."], Iterator[Tensor]]:
    """The first batch, and all of them."""
    tensors = (batch if isinstance(batch, Tensor) else _first(batch) for batch in batches)
    first = next(tensors, None)
    if first is None:
        raise DataError(
            "there must be at least one batch; found none: a generator that was used before is empty"
        )
    return first, chain([first], tensors)


def _first(batch: Any) -> Tensor:
    if not isinstance(batch, tuple | list) or not batch or not isinstance(batch[0], Tensor):
        raise DataError(
            f"a batch must be a tensor or a tuple that begins with one; found {type(batch).__name__}: "
            "give (batch['image'] for batch in loader), or whatever picks the model's input"
        )
    return batch[0]
