"""What float32 itself does to the input of each rectifier, channel by channel."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from unitmean.graph.observe import Observer
from unitmean.graph.plan import Site


@dataclass(frozen=True)
class Rounding:
    """The largest difference between float32 and float64 at a channel's positions; how many an image has.

    At the rectifier's input, for all positions have one, active or not; rectifying makes no error larger.
    """

    largest: Float64[Tensor, " channels"]
    positions: int


def rounding(
    exact: Observer,
    single: Sequence[tuple[Observer, Mapping[str, Float64[Tensor, " _"]]]],
    sites: Sequence[Site],
    inputs: Iterable[Float[Tensor, "_ ..."]],
) -> dict[str, Rounding]:
    """By site, over all inputs and all networks in `single`, each with the factors that it is divided by.

    exact: the network that they all rescale, in float64.
    """
    found: dict[str, Rounding] = {}
    for x in inputs:
        with torch.inference_mode():
            truth = exact(x.double())
            rounded = [(observer(x.float()), factors) for observer, factors in single]
        for site in sites:
            over = [d for d in range(site.ndim) if d != site.dim]
            right = truth[site.name]
            for values, factors in rounded:
                undone = values[site.name].double() * site.along(factors[site.name]).to(right.device)
                error = (undone - right).abs().amax(over).cpu()
                positions = right[0].numel() // site.channels
                before = found.get(site.name, Rounding(error, positions))
                found[site.name] = Rounding(torch.maximum(before.largest, error), positions)
    return found
