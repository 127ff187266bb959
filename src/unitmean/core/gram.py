"""The Gram matrix of a layer's activations."""

from jaxtyping import Float
from torch import Tensor


def gram(activation: Float[Tensor, "1 c h w"]) -> Float[Tensor, "c c"]:
    """G_ij = sum over positions k of F_ik F_jk: what a layer sees, less where (Gatys et al. 2016, eq. 3)."""
    flat = activation.flatten(2).squeeze(0)
    return flat @ flat.mT
