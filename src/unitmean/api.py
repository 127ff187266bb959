"""The library: normalise any module that torch.export takes, with batches from anywhere.

    result = unitmean.normalise(model, loader)
    model.load_state_dict(result.state)

A batch is the model's input, a tensor `n …`, or a tuple or list whose first element is that tensor, as a
DataLoader gives images and labels. For a model of several arguments the first element is a tuple of them.
Batches may lie on another device than the model. Half-precision models are measured and compared in float32,
with the very numbers that they hold.
"""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float64
from torch import Tensor, nn

import unitmean
from unitmean.batches import Batches
from unitmean.errors import InvarianceError, NetworkError
from unitmean.graph.analysis import analyse
from unitmean.graph.inputs import Inputs, converted, of_batch, tensors
from unitmean.graph.loaded import as_loaded
from unitmean.graph.observe import observe_outputs
from unitmean.graph.plan import Plan
from unitmean.graph.reload import double
from unitmean.graph.running import Running
from unitmean.graph.strict import only_outputs, require_rectifier, require_whole
from unitmean.graph.unwrapped import inside, unwrapped
from unitmean.measuring import Statistics, device_of, floating_type, measure, measured
from unitmean.networks.named import class_name, known_name
from unitmean.proof.invariance import compare, observed
from unitmean.proof.judged import EPSILON, Proof, judged, resolution
from unitmean.results import Normalised
from unitmean.statistics import kinds
from unitmean.statistics.alive import alive
from unitmean.statistics.factors import choose

__all__ = ["Normalised", "factors", "measure", "normalise", "verify"]

CHECKED = 2  # images of the first batch on which `normalise` compares old and new weights


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
    """What the activations of each of the plan's variables are to be divided by, so that `statistic` is one.

    statistic: "mean", "rms", "max", or "quantile" for the value below which the share `quantile` of a
    channel's positions lies, in statistics with histograms. rounding: "none" or "pow2". Channels that share a
    variable take the geometric mean. The factor stays one where the statistic is zero, the channel is active
    at a smaller share of positions than `min_active_fraction`, or its mean has a larger relative standard
    error than `max_relative_error`.

    Raises ValueError for an unknown `statistic` or `rounding`, or where histograms are needed and missing.
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
    target_standard_error: float | None = None,
    progress: bool = False,
) -> Normalised:
    """Weights for the same class whose channels have mean activation one and whose output is the same.

    The model, in eval mode, is left alone. outputs: "normalise" divides a rectified output too, by
    `result.factors[ids]`, where `result.plan.outputs` has the ids. See `factors` and `measure` for the other
    arguments. Before it returns, the new weights, as `load_state_dict` puts them into the model, are compared
    with the old ones on the first images of each of the first four shapes of input, as by `verify`.

    Raises NetworkError for a model in training mode, one that torch.export can't trace and, unless
    `strict=False`, one that can be normalised only in part; DataError where there is no batch, or one holds
    NaN; WeightsError where a weight is NaN or infinite; InvarianceError where the new weights don't compute
    what the old ones do. Autocast in the forward method is ignored: the network is traced and measured in the
    type of its weights.
    """
    given = Batches(batches, "measuring", progress)
    example = converted(given.first, floating_type(model), device_of(model))
    plan = analyse(model, example, outputs=outputs)
    require_rectifier(plan)
    if strict:
        require_whole(plan, "strict=False")
    if words := only_outputs(plan):
        warnings.warn(words, stacklevel=2)
    known = kinds.statistics().get(statistic)
    histograms = known is not None and known.counted
    statistics = measured(model, given, plan, histograms=histograms, target=target_standard_error)
    values = _values(statistics, statistic, quantile)
    live = _alive(statistics, values, min_active_fraction, max_relative_error)
    chosen = choose(plan, values, live, rounding=rounding)
    below = {site: moments.expectation() < 0 for site, moments in statistics.items()}
    result = Normalised(
        plan.rescale(chosen),
        chosen,
        plan,
        statistics,
        _listed({site: ~live[site] & ~below[site] for site in live}),
        _listed({site: ~live[site] & below[site] for site in live}),
        {
            "network": known_name(unwrapped(model)[0]),
            "class": class_name(unwrapped(model)[0]),
            "images": next(iter(statistics.values())).images,
            "statistic": statistic,
            "quantile": quantile if histograms else None,
            "rounding": rounding,
            "outputs": outputs,
            "unitmean": unitmean.__version__,
            "torch": torch.__version__,
        },
    )
    _require_same(model, result, given.kinds.values())
    return result


def verify(
    model: nn.Module,
    state: Mapping[str, Tensor],
    batches: Iterable[Any],
    result: Normalised | None = None,
    *,
    progress: bool = False,
) -> Proof:
    """Whether the model computes with the weights `state` what it computes with its own; true where it does.

    Weights are compared as the model would hold them after `load_state_dict`. Every tensor that the model
    returns is compared, integers too. With `result`, what `normalise` returned, every number of `state` is
    compared with the original's times its factors, and the activations of every rectifier are compared, once
    the factors are undone; the deviations' float64 is then of weights that were never rounded. progress: a
    bar on the terminal.

    Raises DataError where there is no batch, NetworkError for a model that can't be traced, WeightsError for
    a state dict of another class.
    """
    given = Batches(batches, "comparing", progress)
    running = _comparing(model, result.plan if result else None)
    return _proved(model, state, given, result, running)


def _proved(
    model: nn.Module,
    state: Mapping[str, Tensor],
    given: Batches,
    result: Normalised | None,
    running: Running,
) -> Proof:
    plan = result.plan if result else None
    scales = result.factors if result else torch.ones(1, dtype=torch.float64)
    device = device_of(model)
    _, prefix = unwrapped(model)
    original = model.state_dict()
    exact = plan.rescale(scales, original, dtype=torch.float64) if plan else double(state)
    right = plan.rescale(scales, original) if plan else state
    networks = observed(
        lambda weights, dtype: running.carrying(inside(weights, prefix), dtype, device),
        original,
        exact,
        as_loaded(model, right),
        as_loaded(model, state),
    )
    undo = dict.fromkeys(running.names(given.first), torch.ones((), dtype=torch.float64))
    if plan:
        undo |= {site.name: site.along(scales[site.variables]) for site in plan.sites}
        undo |= {name: scales[ids] for name, ids in zip(plan.output_names, plan.outputs, strict=True)}
    undo = {place: scale.to(device) for place, scale in undo.items()}
    comparison = compare(networks, undo, given, resolution=max(EPSILON, resolution(original, right)))
    return judged(comparison, original, state, plan, scales)


def _comparing(model: nn.Module, plan: Plan | None) -> Running:
    inner, _ = unwrapped(model)
    sites = plan.sites if plan else ()
    floating, device = floating_type(model), device_of(model)
    return Running(
        lambda x, dynamic: observe_outputs(inner, converted(x, floating, device), sites, dynamic=dynamic)
    )


def _require_same(model: nn.Module, result: Normalised, kinds: Iterable[Inputs]) -> None:
    """Compare both networks on a batch of each shape, or on its first images where that is enough."""
    running = _comparing(model, result.plan)

    def on(x: Inputs) -> Proof:
        return _proved(model, result.state, Batches([(x, None)], "comparing"), result, running)

    for x in kinds:
        try:
            proof = on(of_batch(x, CHECKED) if running.any_batch(x) else x)
        except NetworkError:  # operators that refer to images by number may need all of them
            proof = on(x)
        if not proof:
            raise InvarianceError(
                "the new weights must compute what the old ones do; found otherwise on a batch of "
                f"{', '.join(' x '.join(map(str, t.shape)) for t in tensors(x))}:\n  "
                + "\n  ".join(proof.failures[:4])
                + f"\nnothing is returned; {_advice(model)}"
            )


def _advice(model: nn.Module) -> str:
    floating = floating_type(model)
    if floating.itemsize < 4:
        return f"{str(floating).removeprefix('torch.')} may not hold the new weights: normalise model.float()"
    return (
        "where the forward method computes something else for another shape or argument, normalise what it "
        "computes for one; otherwise please report this network"
    )


def _listed(channels: Mapping[str, Bool[Tensor, " _"]]) -> dict[str, list[int]]:
    found = {site: mask.nonzero().flatten().tolist() for site, mask in channels.items()}
    return {site: which for site, which in found.items() if which}


def _values(statistics: Statistics, statistic: str, quantile: float) -> dict[str, Float64[Tensor, " _"]]:
    return kinds.values(
        statistic, {site: moments.summary() for site, moments in statistics.items()}, quantile
    )


def _alive(
    statistics: Statistics,
    values: Mapping[str, Float64[Tensor, " _"]],
    min_active_fraction: float,
    max_relative_error: float,
) -> dict[str, Bool[Tensor, " _"]]:
    """Channels worth dividing; a negative mean is never that of a dead channel, however uncertain."""
    live = {}
    for site, moments in statistics.items():
        mean = moments.expectation()
        known = alive(
            mean,
            moments.standard_error(),
            moments.active_fraction(),
            min_active_fraction=min_active_fraction,
            max_relative_error=max_relative_error,
        )
        live[site] = (values[site] > 0) & values[site].isfinite() & (known | (mean < 0))
    return live
