"""The channel means of a network over batches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from unitmean.graph.observe import Observer, reduce_at, without_gradient
from unitmean.graph.plan import Site


@dataclass(frozen=True)
class Means:
    """Sums over images of per-image channel means, and of their squares, in float64; a monoid under `+`."""

    images: int
    total: Float64[Tensor, " channels"]
    square: Float64[Tensor, " channels"]

    @classmethod
    def of(cls, means: Float[Tensor, "n channels"]) -> "Means":
        """Those of a batch."""
        exact = means.double()
        return cls(len(exact), exact.sum(0), exact.square().sum(0))

    def __add__(self, other: "Means") -> "Means":
        return Means(self.images + other.images, self.total + other.total, self.square + other.square)

    @property
    def mean(self) -> Float64[Tensor, " channels"]:
        """Over images and positions."""
        return self.total / self.images

    @property
    def standard_error(self) -> Float64[Tensor, " channels"]:
        """Of the mean, with images as the independent draws; NaN for a single image."""
        if self.images < 2:
            return torch.full_like(self.total, torch.nan)
        variance = self.square / self.images - self.mean.square()
        return (variance.clamp_min(0) / (self.images - 1)).sqrt()


def mean_observer(
    module: nn.Module, example: Float[Tensor, "n ..."], sites: Sequence[Site], *, output: bool = False
) -> Observer:
    """Per-image means of every site's channels and, on request, the network's own output."""
    return without_gradient(reduce_at(module, example, sites, _per_image_mean, output=output))


def measure_means(
    module: nn.Module,
    example: Float[Tensor, "n ..."],
    sites: Sequence[Site],
    batches: Iterable[Float[Tensor, "_ ..."]],
) -> dict[str, Means]:
    """The sums of every site's channels over batches."""
    observer = mean_observer(module, example, sites)
    sums: dict[str, Means] = {}
    for x in batches:
        for name, means in observer(x).items():
            batch = Means.of(means)
            sums[name] = sums[name] + batch if name in sums else batch
    return sums


def channel_means(
    module: nn.Module,
    example: Float[Tensor, "n ..."],
    sites: Sequence[Site],
    batches: Iterable[Float[Tensor, "_ ..."]],
) -> dict[str, Float64[Tensor, " _"]]:
    """The mean activation of every site's channels over images and positions; sums are float64."""
    return {name: found.mean for name, found in measure_means(module, example, sites, batches).items()}


def _per_image_mean(activation: Float[Tensor, "n ..."], dim: int) -> Float[Tensor, "n channels"]:
    over = [d for d in range(1, activation.ndim) if d != dim]
    return activation.mean(over) if over else activation
