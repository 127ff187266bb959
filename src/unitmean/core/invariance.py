"""How far a rescaled network is from the original, seen against float32's own error."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unitmean.core.behaviour import Behaviour, together
from unitmean.core.observe import OUTPUT, Observer


@dataclass(frozen=True)
class Networks:
    """The original and the rescaled network, each in float64 and float32, observed at the same places.

    In float64 the rescaled weights are exact (never cast), in float32 they are those of the file.
    """

    original64: Observer
    rescaled64: Observer
    original32: Observer
    rescaled32: Observer


@dataclass(frozen=True)
class Deviation:
    """Largest absolute differences at one place, relative to the largest value of the float64 original there.

    float64: exact rescaled against original, both in float64. float32: the same in float32, with the file's
    weights. float32_error: float32 against float64, both of the original: what float32 itself gets wrong.
    """

    float64: float
    float32: float
    float32_error: float


@dataclass(frozen=True)
class Comparison:
    """Deviations by place, and how the outputs compare.

    behaviour is None where the output isn't a row of logits. bit_identical: float32 outputs are equal.
    """

    deviations: Mapping[str, Deviation]
    behaviour: Behaviour | None
    bit_identical: bool
    inputs: int


def compare(
    networks: Networks,
    scales: Mapping[str, Float[Tensor, "..."]],
    inputs: Iterable[Float[Tensor, "_ ..."]],
) -> Comparison:
    """Run all four networks on all inputs; `scales` undo the rescaling at each place by broadcasting."""
    peaks: dict[str, Tensor] = {}
    outputs: list[tuple[Tensor, Tensor]] = []
    for x in inputs:
        with torch.inference_mode():
            a, b = networks.original64(x.double()), networks.rescaled64(x.double())
            c, d = networks.original32(x.float()), networks.rescaled32(x.float())
            for place, scale in scales.items():
                undone64, undone32 = b[place] * scale, d[place] * scale.to(d[place].dtype)
                found = torch.stack(
                    [
                        _largest(a[place]),
                        _largest(a[place] - undone64),
                        _largest(c[place] - undone32),
                        _largest(c[place] - a[place]),
                    ]
                )
                # maximum propagates NaN, so that a NaN can't hide behind a small difference
                peaks[place] = torch.maximum(peaks.get(place, found), found)
            outputs.append((c[OUTPUT], d[OUTPUT] * scales[OUTPUT].to(d[OUTPUT].dtype)))
    deviations = {place: _deviation(found) for place, found in peaks.items()}
    noise = 2 * deviations[OUTPUT].float32_error if outputs else 0.0  # of each of the two networks
    return Comparison(
        deviations,
        together([Behaviour.of(x, y, None, noise) for x, y in outputs if x.ndim == 2]),
        all(torch.equal(x, y) for x, y in outputs),
        sum(len(x) for x, _ in outputs),
    )


def _largest(x: Tensor) -> Tensor:
    return x.abs().amax().double()


def _deviation(found: Tensor) -> Deviation:
    reference, *differences = found.tolist()
    return Deviation(*(d / reference if reference else d for d in differences))
