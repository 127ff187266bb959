"""The channel means of a network over batches."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from unitmean.core.observe import reduce_at, without_gradient
from unitmean.core.plan import Site


def channel_means(
    module: nn.Module,
    example: Float[Tensor, "n ..."],
    sites: Sequence[Site],
    batches: Iterable[Float[Tensor, "_ ..."]],
) -> dict[str, Float64[Tensor, " _"]]:
    """The mean activation of every site's channels over images and positions; sums are float64."""
    observer = without_gradient(reduce_at(module, example, sites, _per_image_mean))
    sums = {site.name: torch.zeros(site.channels, dtype=torch.float64) for site in sites}
    images = 0
    for x in batches:
        for name, means in observer(x).items():
            sums[name] += means.double().sum(0)
        images += len(x)
    return {name: value / images for name, value in sums.items()}


def _per_image_mean(activation: Float[Tensor, "n ..."], dim: int) -> Float[Tensor, "n channels"]:
    over = [d for d in range(1, activation.ndim) if d != dim]
    return activation.mean(over) if over else activation
