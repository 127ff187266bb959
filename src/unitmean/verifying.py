"""Whether weights compute in a user's model what its own compute, for `verify` and for `normalise` itself."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from unitmean.arguments import require_model, require_result, require_weights
from unitmean.batches import Batches
from unitmean.errors import InvarianceError, NetworkError
from unitmean.graph.inputs import Inputs, of_batch, sizes
from unitmean.graph.loaded import as_loaded
from unitmean.graph.observe import observe_outputs
from unitmean.graph.plan import Plan
from unitmean.graph.reload import double
from unitmean.graph.running import Running
from unitmean.graph.unwrapped import inside, unwrapped
from unitmean.measuring import device_of, floating_type, type_name
from unitmean.proof.invariance import compare
from unitmean.proof.judged import Proof, coarsened, judged, resolution
from unitmean.proof.networks import observed
from unitmean.results import Normalised

CHECKED = 2  # images of the first batch on which `normalise` compares old and new weights
CHAOTIC = 0.05  # float32's own relative error beyond which a network's values say nothing


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
    the factors are undone. In that case `proof.deviations[...].float64` compares the original with float64
    weights before they are rounded to the model's type. progress: a bar on the terminal.

    Raises DataError where there is no batch, NetworkError for a model that can't be traced or has
    other rectifiers than the result's, WeightsError for a state dict of another class, or the result of
    another model.
    """
    require_model(model)
    require_weights(model, state)
    require_result(model, result)
    given = Batches(batches, model, "comparing", progress)
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
        lambda weights, dtype: running.carrying(inside(weights, prefix), dtype),
        original,
        exact,
        as_loaded(model, right),
        as_loaded(model, state),
        () if plan else coarsened(original, state),
        known=plan is not None,
    )
    undo = dict.fromkeys(running.names(given.first), torch.ones((), dtype=torch.float64))
    if plan:
        undo |= {site.name: site.along(scales[site.variables]) for site in plan.sites}
        undo |= {name: scales[ids] for name, ids in zip(plan.output_names, plan.outputs, strict=True)}
    undo = {place: scale.to(device) for place, scale in undo.items()}
    comparison = compare(networks, undo, given, resolution=resolution(original, right if plan else {}))
    return judged(comparison, original, state, plan, scales)


def _comparing(model: nn.Module, plan: Plan | None) -> Running:
    inner, _ = unwrapped(model)
    sites = plan.sites if plan else ()
    return Running(
        lambda x, free: observe_outputs(inner, x, sites, free=free), floating_type(model), device_of(model)
    )


def require_same(model: nn.Module, result: Normalised, kinds: Iterable[Inputs]) -> None:
    """Compare both networks on a batch of each shape, or on its first images where that is enough."""
    running = _comparing(model, result.plan)

    def on(x: Inputs) -> Proof:
        return _proved(model, result.state, Batches([(x, None)], model, "comparing"), result, running)

    for x in kinds:
        fewer = of_batch(x, CHECKED)
        try:
            proof = on(fewer if running.as_well(x, fewer) else x)
        except NetworkError:  # operators that refer to images by number may need all of them
            proof = on(x)
        if not proof:
            raise InvarianceError(
                "the new weights must compute what the old ones do; found otherwise on a batch of "
                f"{sizes(x)}:\n  "
                + "\n  ".join(proof.failures[:4])
                + f"\nnothing is returned; {_advice(model, proof)}"
            )


def _advice(model: nn.Module, proof: Proof) -> str:
    floating = floating_type(model)
    if floating.itemsize < 4:
        return f"{type_name(floating)} may not hold the new weights: normalise model.float()"
    error = max(deviation.float32_error for deviation in proof.deviations.values())
    if error > CHAOTIC:
        return (
            f"the network makes rounding grow, float32's own to {error:.0%} of its values, so that nothing "
            "can be compared: load trained weights, or scale the input as the network expects it"
        )
    return (
        "where the forward method computes something else for another shape or argument, normalise what it "
        "computes for one; otherwise please report this network"
    )
