"""Random weights from a seed, with activations of moderate size before channels are badly scaled."""

import hashlib
import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitmean.errors import NetworkError
from unitmean.graph.analysis import analyse
from unitmean.graph.reload import load
from unitmean.networks.skeleton import skeleton

# The variance of max(z, 0) for a standard normal z: 1/2 - 1/(2 pi).
RECTIFIED_VARIANCE = 0.5 - 0.5 / math.pi
SIDE = 224  # pixels of the pictures for which channels may have a gain
SHALLOW = 40  # a network with at most so many layers with weights is shallow
# Half the width, in standard deviations, of the interval that holds 99% of a normal distribution.
NORMAL_99 = 2.576


def seeded(name: str, seed: int, spread: float) -> dict[str, Tensor]:
    """float32 weights of any architecture, 99% of its channels' gains within `spread` orders of magnitude."""
    module = skeleton(name)
    state_dict = well_behaved(module, seed)
    load(module, state_dict)
    return badly_scaled(module, state_dict, seed, spread)


def well_behaved(module: nn.Module, seed: int) -> dict[str, Tensor]:
    """float32 weights for each tensor of a module, which may lie on the meta device.

    In shallow networks filters are normal with variance 1 / (0.34 fan_in), less their mean over the fan-in:
    then preactivations have the same variance in each layer (max pooling raises it somewhat), and the mean of
    rectified inputs can't keep a deep channel silent. Only filters of the first layer keep their mean, as no
    rectifier precedes it.

    Each such layer multiplies the variance of a difference between two inputs by 1.5 (half of 1 / 0.34),
    which a hundred layers would turn into chaos: filters of deeper networks keep their mean and have the
    variance 1 / fan_in.

    Each tensor has a generator of its own, so its numbers don't depend on the order or on other tensors.
    """
    first = True
    shallow = sum(t.ndim >= 2 for t in module.state_dict().values()) <= SHALLOW
    state_dict = {}
    for key, empty in module.state_dict().items():
        kind = key.rpartition(".")[2]
        generator = _generator(seed, key)
        if kind == "num_batches_tracked":
            state_dict[key] = torch.zeros(empty.shape, dtype=empty.dtype)
            continue
        if not empty.is_floating_point():
            if empty.is_meta:
                raise NetworkError(
                    f"seeded weights must be real; {key!r} holds {empty.dtype}: use weights=torchvision"
                )
            state_dict[key] = empty.clone()  # a table of positions, which construction computes
            continue
        value = torch.randn(empty.shape, generator=generator)
        if value.ndim >= 2:
            gain = 1 / RECTIFIED_VARIANCE if shallow else 1.0
            state_dict[key] = _filters(value, gain, centred=shallow and not first)
            first = False
        elif kind == "running_var":
            state_dict[key] = value.mul_(0.2).exp_()
        elif kind == "weight":
            state_dict[key] = value.mul_(0.1).add_(1)
        else:
            state_dict[key] = value.mul_(0.1)
    return state_dict


def badly_scaled(
    module: nn.Module, state_dict: Mapping[str, Tensor], seed: int, spread: float
) -> dict[str, Tensor]:
    """The same function with a random log-normal gain on every channel that may have one."""
    try:
        plan = analyse(module, torch.zeros(1, 3, SIDE, SIDE))
    except NetworkError as error:
        raise NetworkError(
            f"seeded weights need {SIDE} x {SIDE} pixels; {error}; or use weights=code"
        ) from error
    sigma = spread * math.log(10) / (2 * NORMAL_99)
    normal = torch.randn(plan.variables, dtype=torch.float64, generator=_generator(seed, "gains"))
    factors = torch.where(plan.free, (sigma * normal).exp(), 1.0)
    return plan.rescale(factors, state_dict)


def _filters(value: Float[Tensor, "out ..."], gain: float, *, centred: bool) -> Float[Tensor, "out ..."]:
    fan_in = value[0].numel()
    if centred and fan_in > 1:
        value -= value.flatten(1).mean(1).view(-1, *[1] * (value.ndim - 1))
        fan_in -= 1  # centring takes one degree of freedom
    return value.mul_(math.sqrt(gain / fan_in))


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
