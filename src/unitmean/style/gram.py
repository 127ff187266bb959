"""The Gram matrix of a layer's activations."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def gram(activation: Float[Tensor, "1 c h w"]) -> Float[Tensor, "c c"]:
    """G_ij = sum over positions k of F_ik F_jk: what is seen, without where (Gatys et al. 2016, eq. 3)."""
    product: Tensor = _Gram.apply(activation.flatten(2).squeeze(0))
    return product


class _Gram(torch.autograd.Function):
    """F F', whose gradient is one product, (D + D') F, where autograd by itself takes two."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor) -> Tensor:
        ctx.save_for_backward(flat)
        return flat @ flat.mT

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (flat,), (gradient,) = ctx.saved_tensors, gradients
        of_flat: Tensor = (gradient + gradient.mT) @ flat
        return of_flat
