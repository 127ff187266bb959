"""What float32 itself does to the input of each rectifier, channel by channel."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from unitmean.graph.observe import Observer
from unitmean.graph.plan import Site

MOST = 0.95


@dataclass(frozen=True)
class Rounding:
    """Of each channel, at the rectifier's input: the largest difference between float32 and float64, and the
    largest number itself. An image has so many `positions`.

    All positions have an input, active or not, and rectifying makes no error larger.
    """

    largest: Float64[Tensor, " channels"]
    size: Float64[Tensor, " channels"]
    positions: int

    @property
    def expected(self) -> Float64[Tensor, " channels"]:
        """What other images may show: a channel seen at few positions may have been lucky.

        So each errs at least as much as, relative to their size, all but a few of the site's channels do.
        """
        relative = (self.largest / self.size).nan_to_num(0.0)
        return torch.maximum(self.largest, relative.quantile(MOST) * self.size)


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
                error, size = (undone - right).abs().amax(over).cpu(), right.abs().amax(over).cpu()
                positions = right[0].numel() // site.channels
                before = found.get(site.name, Rounding(error, size, positions))
                found[site.name] = Rounding(
                    torch.maximum(before.largest, error), torch.maximum(before.size, size), positions
                )
    return found
