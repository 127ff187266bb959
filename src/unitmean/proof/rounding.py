"""What float32 itself does to the input of each rectifier, channel by channel."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

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

    @classmethod
    def of(
        cls, exact: Float64[Tensor, "..."], single: Sequence[Float64[Tensor, "..."]], site: Site
    ) -> "Rounding":
        """Of the site's inputs in float64, and in several networks' float32 brought to the same scale."""
        over = [d for d in range(site.ndim) if d != site.dim]
        errors = torch.stack([(found - exact).abs().amax(over) for found in single])
        return cls(errors.amax(0).cpu(), exact.abs().amax(over).cpu(), exact[0].numel() // site.channels)

    def __or__(self, other: "Rounding") -> "Rounding":
        """Of the inputs of both: the larger error and the larger number of each channel."""
        largest, size = torch.maximum(self.largest, other.largest), torch.maximum(self.size, other.size)
        return Rounding(largest, size, self.positions)

    @property
    def expected(self) -> Float64[Tensor, " channels"]:
        """What other images may show: a channel seen at few positions may have been lucky.

        So each errs at least as much as, relative to their size, all but a few of the site's channels do.
        """
        relative = (self.largest / self.size).nan_to_num(0.0)
        return torch.maximum(self.largest, relative.quantile(MOST) * self.size)
