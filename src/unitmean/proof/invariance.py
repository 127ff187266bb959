"""How far a rescaled network is from the original, seen against float32's own error."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from jaxtyping import Float
from torch import Tensor

from unitmean.errors import NetworkError
from unitmean.graph.inputs import Inputs, converted, count
from unitmean.graph.observe import OUTPUT
from unitmean.graph.plan import Site
from unitmean.proof.behaviour import Behaviour, together
from unitmean.proof.differences import apart, error, largest, scaled
from unitmean.proof.networks import Networks, RoundedOtherwise
from unitmean.proof.rounding import Rounding

# Float32's error in the rightly rescaled network counts only up to so many times its error in the original:
# more means that these weights don't suit float32, or the type in which they are stored, whoever chose them.
WORSE = 100.0
# Never less than so many units of the stored type: its rounding of the weights moves what they compute.
RESOLVED = 16
# A batch's differences are seen against its own largest value, but for one whose values are all smaller than
# this part of the usual: those are what rounding leaves of larger ones.
LEAST = 1e-3


@dataclass(frozen=True)
class Deviation:
    """Largest differences at one place, relative to the float64 original's largest value of the same batch.

    float64: exact rescaled against original, both in float64. float32: the same in float32, with the file's
    weights. float32_error: float32 against float64 of one and the same network, the original or the rightly
    rescaled one, whichever float32 serves worse, the latter's up to `WORSE` times the original's, for which
    its weights are rounded in several ways where one isn't enough. By the triangle inequality a right file's
    float32 is at most twice this, plus float64, at any place and for any input; it doesn't depend on the
    file's weights where the factors are known. stored_error: what rounding the original's weights to a
    coarser type changes, in the worst of `Networks.coarse`; 0 without any.
    """

    float64: float
    float32: float
    float32_error: float
    stored_error: float = 0.0

    @property
    def float64_error(self) -> float:
        """What float64 does itself, by what float32 does: as much less as float64 resolves more."""
        return self.float32_error * torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps

    @property
    def float32_ratio(self) -> float:
        """float32 over float32_error: at most 2 for a right file; 0 where nothing differs, else infinite."""
        if self.float32_error == 0:
            return 0.0 if self.float32 == 0 else math.inf
        return self.float32 / self.float32_error


@dataclass(frozen=True)
class Comparison:
    """Deviations by place, and how the outputs compare.

    behaviour is None where the output isn't a row of logits. bit_identical: float32 outputs are equal.
    rounding: what float32 does in the original and the rightly rescaled network, at the sites asked for.
    """

    deviations: Mapping[str, Deviation]
    behaviour: Behaviour | None
    bit_identical: bool
    inputs: int
    rounding: Mapping[str, Rounding]


def compare(
    networks: Networks,
    scales: Mapping[str, Float[Tensor, "..."]],
    inputs: Iterable[Inputs],
    sites: Sequence[Site] = (),
    resolution: float = torch.finfo(torch.float32).eps,
) -> Comparison:
    """Run all networks on all inputs; `scales` undo the rescaling at each place by broadcasting.

    Places are rectifiers, and what the network returns, under names that begin with "output"; tensors without
    numbers are none. sites: those whose rounding is wanted; at them the networks must observe what rectifiers
    are given. resolution: the epsilon of the type in which the weights are stored.
    """
    peaks: dict[str, list[Tensor]] = defaultdict(list)
    rounding: dict[str, Rounding] = {}
    outputs: dict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
    seen = 0
    for x in inputs:
        seen += count(x)
        with torch.inference_mode():
            single, double = converted(x, torch.float32), converted(x, torch.float64)
            a, b = networks.original64(double), networks.rescaled64(double)
            c, d = networks.original32(single), networks.rescaled32(single)
            stored = [network(single) for network in networks.coarse]
            e = d if networks.right32 is networks.rescaled32 else networks.right32(single)
            _require_sizes((a, c), (b, e), *((a, found) for found in stored))
            otherwise = RoundedOtherwise(networks.again32(), a, single)
            for place, scale in scales.items():
                if not any(network[place].numel() for network in (a, b, d)):
                    continue
                size, own = largest(a[place]), error(a[place], c[place])
                rights = error(scaled(b[place], scale), scaled(e[place], scale))
                differs = apart(c[place], scaled(d[place], scale), a[place])
                for another in chain([own], otherwise.errors(place)):
                    own = torch.maximum(own, another)
                    most = torch.maximum(WORSE * own, RESOLVED * resolution * size)
                    error32 = torch.maximum(own, torch.minimum(rights, most))
                    if not differs > 2 * error32:  # as in any right network
                        break
                found = [
                    size,
                    apart(a[place], scaled(b[place], scale)),
                    differs,
                    error32,
                    torch.stack([error(a[place], r[place]) for r in stored]).amax() if stored else own * 0,
                ]
                peaks[place].append(torch.stack(found))
            for site in sites:
                name = site.name
                of_input = Rounding.of(a[name], (c[name].double(), e[name] * scales[name]), site)
                rounding[name] = rounding[name] | of_input if name in rounding else of_input
            for place in (place for place in scales if place.startswith(OUTPUT)):
                outputs[place].append((c[place], d[place] * scales[place].to(c[place].dtype)))
    deviations = {place: _deviation(torch.stack(found)) for place, found in peaks.items()}
    logits = [
        (x, y)
        for x, y in outputs[OUTPUT]
        if x.ndim == 2 and x.numel() and x.is_floating_point() and x.shape == y.shape
    ]
    noise = 2 * deviations[OUTPUT].float32_error if logits else 0.0  # of each of the two networks
    return Comparison(
        deviations,
        together([Behaviour.of(x, y, None, noise) for x, y in logits]),
        all(torch.equal(x, y) for pairs in outputs.values() for x, y in pairs),
        seen,
        rounding,
    )


def _require_sizes(*networks: tuple[Mapping[str, Tensor], Mapping[str, Tensor]]) -> None:
    """NetworkError where a size depends on numbers so finely that rounding changes it."""
    for exact, single in networks:
        for place, value in exact.items():
            if value.shape != single[place].shape:
                raise NetworkError(
                    "sizes must be the same in float64 and float32, and with weights rounded to the file's "
                    f"types, or nothing can be compared; found that {place} has {list(value.shape)} and "
                    f"{list(single[place].shape)}, as where a mask depends on what rounding decides: "
                    "normalise the part before it"
                )


def _deviation(found: Tensor) -> Deviation:
    """From a row for each input: the largest value and the differences."""
    largest, differences = found[:, :1], found[:, 1:]
    # A batch counts by itself, so that none hides behind another's large numbers, unless it has next to none.
    reference = torch.maximum(largest, LEAST * largest.median())
    relative = torch.where(reference > 0, differences / reference, differences)
    # amax propagates NaN, so that a NaN can't hide behind a small difference
    return Deviation(*relative.amax(0).tolist())
