"""The arguments of the library's functions, refused in words before anything is measured."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from unitmean.errors import DataError, NetworkError, WeightsError
from unitmean.graph.plan import Plan
from unitmean.results import Normalised
from unitmean.statistics import kinds
from unitmean.statistics.factors import require_rounding
from unitmean.statistics.moments import Moments


def require_model(model: Any) -> None:
    """NetworkError unless it is a module that holds numbers, and tensors alone in its state dict."""
    if not isinstance(model, nn.Module):
        raise NetworkError(
            f"a model must be a torch.nn.Module; found {_kind(model)}: give the network itself, with its "
            "weights loaded"
        )
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(value):
            raise NetworkError(
                f"a model's tensors must have shapes; found {name!r} not initialised yet: call the model on "
                "a batch once, and load its weights"
            )
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            raise NetworkError(
                f"a model's state dict must hold tensors alone; found {_kind(value)} in {name!r}: give the "
                "part without it"
            )
        if value.is_meta:
            raise NetworkError(
                f"a model's tensors must have numbers; found {name!r} on the device meta: load its weights"
            )


def require_plan(plan: Any) -> None:
    """NetworkError unless it is a Plan."""
    if not isinstance(plan, Plan):
        raise NetworkError(
            f"a plan must be what unitmean.analyse(model, example) returns; found {_kind(plan)}: give that"
        )


def require_statistics(plan: Plan, statistics: Any) -> None:
    """DataError unless they are of every rectifier of the plan, with as many channels."""
    if not isinstance(statistics, Mapping):
        raise DataError(
            f"statistics must be what unitmean.measure(model, batches, plan) returns; found "
            f"{_kind(statistics)}: give that"
        )
    for site in plan.sites:
        found = statistics.get(site.name)
        channels = len(found.square) if isinstance(found, Moments) else "none"
        if channels != site.channels:
            raise DataError(
                f"statistics must have every rectifier of the plan, with its channels; found {channels} of "
                f"{site.name!r}, not {site.channels}: give what unitmean.measure(model, batches, plan) "
                "returns"
            )


def require_weights(model: nn.Module, state: Any) -> None:
    """WeightsError unless it maps names to tensors, and to floating ones where the model has such."""
    if not isinstance(state, Mapping):
        hint = "its .state" if isinstance(state, Normalised) else "its .state_dict(), if it has one"
        raise WeightsError(f"weights must be a state dict; found {_kind(state)}: give {hint}")
    own = model.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            nested = f"give the value of {name!r}, if it is the state dict"
            raise WeightsError(
                f"a state dict must hold tensors; found {_kind(value)} in {name!r}: "
                f"{nested if isinstance(value, Mapping) else 'convert it, as by torch.as_tensor'}"
            )
        if name in own and own[name].is_floating_point() != value.is_floating_point():
            raise WeightsError(
                f"{name!r} must be of a type such as the model's, {own[name].dtype}; found {value.dtype}: "
                "convert it, or give other weights"
            )


def require_result(model: nn.Module, result: Any) -> None:
    """WeightsError unless it is None, or what `normalise` returned of a model with such tensors."""
    if result is None:
        return
    if not isinstance(result, Normalised):
        raise WeightsError(
            f"a result must be what unitmean.normalise returned; found {_kind(result)}: give that, or none"
        )
    own = model.state_dict()
    for absorption in result.plan.absorptions:
        name = absorption.name
        if name not in own or not absorption.fits(own[name]):
            shape = tuple(own[name].shape) if name in own else None
            raise WeightsError(
                f"a result must be of the model that is given; found one with factors for {name!r}, which "
                f"the model has {f'in the shape {shape}' if shape else 'not'}: give that model's own result"
            )


def require_settings(
    statistic: str = "mean",
    quantile: float | None = None,
    rounding: str = "none",
    min_active_fraction: float = 0.0,
    max_relative_error: float = 1.0,
    target_standard_error: float | None = None,
) -> None:
    """ValueError for an unknown name, a number outside its range, or one that the statistic doesn't read."""
    counted = kinds.known(statistic).counted
    require_rounding(rounding)
    if quantile is not None:
        _require_number("quantile", quantile, "above 0 and at most 1", 0 < _number(quantile) <= 1)
        _require_number(
            "quantile", quantile, f"left out with statistic={statistic!r}, which has none", counted
        )
    fraction = min_active_fraction
    _require_number("min_active_fraction", fraction, "from 0 to below 1", 0 <= _number(fraction) < 1)
    error = max_relative_error
    _require_number("max_relative_error", error, "above 0", _number(error) > 0)
    if (target := target_standard_error) is not None:
        _require_number("target_standard_error", target, "above 0, or None", _number(target) > 0)


def _require_number(name: str, value: Any, words: str, right: bool) -> None:
    if not right:
        raise ValueError(f"{name} must be {words}; found {value!r}")


def _number(value: Any) -> float:
    """NaN for what is no number, so that no comparison with it holds."""
    return float(value) if isinstance(value, Real) else float("nan")


def _kind(value: Any) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
