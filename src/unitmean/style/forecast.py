"""Predicts a style transfer's time and memory from one evaluation at its smallest size."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unitmean.style.curvature import MEMORY
from unitmean.style.descent import objective
from unitmean.style.losses import Features, LossWeights, Picture, Style, parts_of
from unitmean.style.stylise import Descent, halved, smaller


@dataclass(frozen=True)
class Forecast:
    """Seconds of all steps, and bytes of the largest size's activations and remembered steps."""

    seconds: float
    bytes: float

    def __str__(self) -> str:
        time = f"{self.seconds / 60:.0f} min" if self.seconds >= 100 else f"{self.seconds:.0f} s"
        return f"about {time} and {self.bytes / 1e9:.1f} GB"


def forecast(
    features: Features,
    content: Picture,
    styles: Sequence[Style],
    *,
    weights: LossWeights,
    descent: Descent,
) -> Forecast:
    """Time and memory of all steps, extrapolated in proportion to the number of pixels."""
    octave = descent.scales - 1
    small = halved(content, octave)
    at = objective(parts_of(features, small, [smaller(style, octave) for style in styles], weights))
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        at(small)  # the first of a size is slower
    begun = time.perf_counter()
    at(small)
    seconds = time.perf_counter() - begun
    sizes = [content.numel() / small.numel() / 4**i for i in range(descent.scales)]
    remembered = 2 * MEMORY if descent.optimiser == "lbfgs" else 4
    pictures = remembered * content.numel() * content.element_size()
    # Twice, since the gradient of each activation is held, too.
    return Forecast(seconds * descent.steps * sum(sizes), 2 * sum(kept.values()) * sizes[0] + pictures)
