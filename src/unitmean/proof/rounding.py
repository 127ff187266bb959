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
    """Float32's error in each channel of a rectifier's input.

    largest: the largest difference between float32 and float64. size: the largest absolute value. positions:
    how many an image has. The input is looked at since it isn't zero where the channel is inactive, and
    rectifying makes no error larger.
    """

    largest: Float64[Tensor, " channels"]
    size: Float64[Tensor, " channels"]
    positions: int

    @classmethod
    def of(
        cls, exact: Float64[Tensor, "..."], single: Sequence[Float64[Tensor, "..."]], site: Site
    ) -> "Rounding":
        """From the site's input in float64, and in several networks' float32, all on the original's scale."""
        over = [d for d in range(len(site.shape)) if d not in site.dims]
        errors = torch.stack([(found - exact).abs().amax(over).reshape(-1) for found in single])
        size = exact.abs().amax(over).reshape(-1)
        return cls(errors.amax(0).cpu(), size.cpu(), exact[0].numel() // site.channels)

    def __or__(self, other: "Rounding") -> "Rounding":
        """Over the images of both: each channel's larger error and larger size."""
        largest, size = torch.maximum(self.largest, other.largest), torch.maximum(self.size, other.size)
        return Rounding(largest, size, self.positions)

    def expected(self, peak: Float64[Tensor, " channels"]) -> Float64[Tensor, " channels"]:
        """Each channel's error to expect on other images, over which its largest activation is `peak`.

        One that is seen at few positions may show too little, and one whose own inputs are inactive shows
        none. So it is the channel's own error or, if larger, its size, also on the other images, times the
        95% quantile of the relative errors of the site's channels that show one.
        """
        relative = (self.largest / self.size)[self.largest > 0]
        usual = relative.quantile(MOST) if len(relative) else 0.0
        return torch.maximum(self.largest, usual * torch.maximum(self.size, peak))
