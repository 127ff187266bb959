"""The library: normalise any module that torch.export takes, with batches from anywhere.

    result = unitmean.normalise(model, loader)
    model.load_state_dict(result.state)

A batch is the model's input, a tensor `n …`, or a tuple or list whose first element is that tensor, as a
DataLoader gives images and labels. For a model of several arguments the first element is a tuple of them.
A dict holds the arguments by name, as Hugging Face's loaders give them for `model(**batch)`. Batches may lie
on another device than the model. Half-precision models are measured and compared in float32, with the very
numbers that they hold.
"""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float64
from torch import Tensor, nn

import unitmean
from unitmean.arguments import require_model, require_plan, require_settings, require_statistics
from unitmean.batches import Batches
from unitmean.errors import DataError
from unitmean.graph.analysis import analyse
from unitmean.graph.inputs import converted
from unitmean.graph.plan import Plan
from unitmean.graph.strict import only_outputs, require_rectifier, require_whole, unreached
from unitmean.graph.unwrapped import unwrapped
from unitmean.graph.variables import ONE
from unitmean.measuring import device_of, floating_type, measure, measured
from unitmean.networks.named import class_name, known_name
from unitmean.results import Normalised
from unitmean.statistics import kinds
from unitmean.statistics.alive import alive
from unitmean.statistics.factors import choose
from unitmean.statistics.moments import Statistics
from unitmean.verifying import require_same

__all__ = ["Normalised", "factors", "measure", "normalise"]


def factors(
    plan: Plan,
    statistics: Statistics,
    *,
    statistic: str = "mean",
    quantile: float | None = None,
    rounding: str = "none",
    min_active_fraction: float = 1e-6,
    max_relative_error: float = 0.9,
) -> Float64[Tensor, " variables"]:
    """What the activations of each of the plan's variables are to be divided by, so that `statistic` is one.

    statistic: "mean", "rms", "max", or "quantile" for the value below which the share `quantile` of a
    channel's positions lies (None: 0.999), in statistics with histograms. rounding: "none" or "pow2".
    Channels that share a variable take the geometric mean of those that count. A channel doesn't count where
    its statistic is below zero or isn't told from zero (2^-63, of quantiles 2^-24), it is active at a smaller
    share of positions than `min_active_fraction`, or its mean has a larger relative standard error than
    `max_relative_error`; a variable without channels that count has the factor one.

    Raises ValueError for an unknown `statistic` or `rounding`, a number outside its range, a `quantile` of
    another statistic, or where histograms are needed and missing; DataError where a rectifier's statistics
    are missing.
    """
    require_plan(plan)
    require_settings(statistic, quantile, rounding, min_active_fraction, max_relative_error)
    require_statistics(plan, statistics)
    values = _values(statistics, statistic, quantile)
    live = _alive(statistics, values, min_active_fraction, max_relative_error)
    return choose(plan, values, live, rounding=rounding)


def normalise(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    statistic: str = "mean",
    quantile: float | None = None,
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
    arguments. Warns of tensors that the network doesn't use as it is called, and where all rectifiers'
    channels are preserved outputs. The graph that is followed must return what the model itself returns for
    the first batch of each shape; networks that draw random numbers, and types in which the device can't run
    the model, are not compared so. Before anything is given back, the new weights, as `load_state_dict` puts
    them into the model, are compared with the old ones on the first images of each of the first four shapes
    of input, as by `verify`.

    Raises NetworkError for a model in training mode, one that torch.export can't trace and, unless
    `strict=False`, one that can be normalised only in part; DataError where there is no batch, one holds NaN,
    or no channel is active; WeightsError where a weight is NaN or infinite; InvarianceError where the new
    weights don't compute what the old ones do. Autocast in the forward method is ignored: the network is
    traced and measured in the type of its weights.
    """
    require_model(model)
    require_settings(
        statistic, quantile, rounding, min_active_fraction, max_relative_error, target_standard_error
    )
    given = Batches(batches, model, "measuring", progress)
    example = converted(given.first, floating_type(model), device_of(model))
    plan = analyse(model, example, outputs=outputs)
    require_rectifier(plan)
    if strict:
        require_whole(plan, "strict=False")
    if words := only_outputs(plan):
        warnings.warn(words, stacklevel=2)
    histograms = kinds.known(statistic).counted
    statistics = measured(model, given, plan, histograms=histograms, target=target_standard_error)
    values = _values(statistics, statistic, quantile)
    live = _alive(statistics, values, min_active_fraction, max_relative_error)
    free = {site.name: site.variables != ONE for site in plan.sites}
    if any(map(torch.any, free.values())) and not any((live[site] & free[site]).any() for site in free):
        raise DataError(
            f"some channel must be known to have a {statistic} above {kinds.known(statistic).least:.1e}; "
            f"found none on {next(iter(statistics.values())).images} images: give more images, or others, or "
            "scale them as the model expects it"
        )
    chosen = choose(plan, values, live, rounding=rounding)
    below = {site: moments.expectation() < 0 for site, moments in statistics.items()}
    result = Normalised(
        _apart(plan.rescale(chosen), model),
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
            "quantile": _share(quantile) if histograms else None,
            "rounding": rounding,
            "outputs": outputs,
            "unitmean": unitmean.__version__,
            "torch": torch.__version__,
        },
    )
    require_same(model, result, given.kinds.values())
    if words := unreached(plan, dict(model.named_parameters(remove_duplicate=False))):
        warnings.warn(words, stacklevel=2)
    return result


def _apart(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The state with copies of the model's own tensors: training one must not change the other."""
    own = {tensor.data_ptr() for tensor in model.state_dict().values()}
    for name, tensor in state.items():
        if tensor.data_ptr() in own:
            state[name] = tensor.clone()
    return state


def _listed(channels: Mapping[str, Bool[Tensor, " _"]]) -> dict[str, list[int]]:
    found = {site: mask.nonzero().flatten().tolist() for site, mask in channels.items()}
    return {site: which for site, which in found.items() if which}


def _values(
    statistics: Statistics, statistic: str, quantile: float | None
) -> dict[str, Float64[Tensor, " _"]]:
    summaries = {site: moments.summary() for site, moments in statistics.items()}
    return kinds.values(statistic, summaries, _share(quantile))


def _share(quantile: float | None) -> float:
    return 0.999 if quantile is None else quantile


def _alive(
    statistics: Statistics,
    values: Mapping[str, Float64[Tensor, " _"]],
    min_active_fraction: float,
    max_relative_error: float,
) -> dict[str, Bool[Tensor, " _"]]:
    return {
        site: alive(
            values[site],
            moments.expectation(),
            moments.standard_error(),
            moments.active_fraction(),
            min_active_fraction=min_active_fraction,
            max_relative_error=max_relative_error,
        )
        for site, moments in statistics.items()
    }
