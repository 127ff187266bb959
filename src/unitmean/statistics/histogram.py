"""How a channel's activations are distributed: counts in buckets of an eighth of an octave."""

import torch
from jaxtyping import Float, Float64, Int32
from torch import Tensor

BUCKETS = 385
"""The first holds what is below 2^-24, zero included; each octave to 2^24 has eight; the last, all above."""

_MANTISSA = 20  # bits of a float32's mantissa below the three that tell an octave's eighths
_FIRST = (127 - 24) << 3  # the eighth that begins at 2^-24
_MOST = 2.0**24  # where the last bucket would end, but that it holds all above


def per_image_counts(activation: Float[Tensor, "n ..."], dim: int) -> Float[Tensor, "buckets n channels"]:
    """How many positions of each image and channel fall into each bucket."""
    images = activation.movedim(dim, 1)
    counts = torch.zeros(*images.shape[:2], BUCKETS, device=images.device)
    for image, into in zip(images, counts, strict=True):  # indices are wide: memory of one image at a time
        x = image.float().reshape(len(image), -1)
        into.scatter_add_(1, _bucket(x).long(), torch.ones_like(x))
    return counts.permute(2, 0, 1)


def quantile(
    counts: Float64[Tensor, "channels buckets"], share: float, maximum: Float64[Tensor, " channels"]
) -> Float64[Tensor, " channels"]:
    """The value below which `share` of a channel's positions lie, linear within a bucket; zero in the first.

    `maximum` is the upper edge of the last occupied bucket. The error is less than a bucket's width, at most
    an eighth of the value. NaN where the value may be any from 2^24 to the maximum.
    """
    below = counts.cumsum(1)
    wanted = share * below[:, -1:]
    at = torch.searchsorted(below, wanted).clamp_max(BUCKETS - 1)
    inside = counts.gather(1, at)
    part = 1 - (below.gather(1, at) - wanted) / inside.clamp_min(1)
    edges = _edges().to(counts.device)
    low, high = edges[at], torch.minimum(edges[at + 1], maximum[:, None])
    found = torch.where(at == 0, 0.0, low + part * (high - low))
    anywhere = (at == BUCKETS - 1) & (maximum[:, None] > _MOST) & (part < 1)
    return found.masked_fill(anywhere, torch.nan).squeeze(1)


def _bucket(x: Float[Tensor, "..."]) -> Int32[Tensor, "..."]:
    """Floats order as their bits do: sign, exponent and three bits of the mantissa are the bucket."""
    bits = x.view(torch.int32) >> _MANTISSA
    return (bits - _FIRST + 1).clamp(0, BUCKETS - 1)


def _edges() -> Float64[Tensor, " _"]:
    bits = (torch.arange(BUCKETS, dtype=torch.int32) + _FIRST) << _MANTISSA
    return torch.cat((torch.zeros(1), bits[:-1].view(torch.float32), torch.tensor([torch.inf]))).double()
