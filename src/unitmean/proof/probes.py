"""Inputs that expose errors of a network which photographs may not expose."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

# Far from any image, and far from float32's limits, which ten layers of a gain of ten must not reach.
LARGE, SMALL = 1e6, 1e-6


def probes(like: Float[Tensor, "1 c h w"], seed: int) -> dict[str, Float[Tensor, "1 c h w"]]:
    """Inputs shaped like `like`, which the network itself sees: zero, constant, noise very large, very small.

    Zero leaves the biases alone, a constant shows what padding does, small noise lies where biases outweigh
    the input and large noise where they don't matter.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(like.shape, generator=generator)
    return {
        "zero": torch.zeros_like(noise),
        "constant": torch.ones_like(noise),
        "very large": LARGE * noise,
        "very small": SMALL * noise,
    }


def allows(module: nn.Module, size: int) -> bool:
    """Whether the module takes images of this height and width; found out without any numbers."""
    state = {name: tensor.to("meta") for name, tensor in module.state_dict().items()}
    try:
        functional_call(module, state, (torch.empty(1, 3, size, size, device="meta"),))
    except Exception:  # a shape that doesn't fit raises whatever its operator likes
        return False
    return True


def other_size(module: nn.Module, size: int) -> int:
    """A multiple of 16 near 1/2, 3/4 or 5/4 of `size` that the module takes; `size` itself if none fits."""
    multiples = (max(1, round(size * part / 16)) * 16 for part in (1 / 2, 3 / 4, 5 / 4))
    return next((other for other in multiples if other != size and allows(module, other)), size)
