"""Weights as a module holds them once they are loaded."""

from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from unitmean.errors import WeightsError


def as_loaded(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the module's state dict would hold after `module.load_state_dict(state)`; the module stays.

    Numbers are rounded to the module's own type, and where several of its tensors lie in one memory, the last
    one that is loaded is what all of them show.

    Raises WeightsError where a tensor is missing, unknown or of another shape.
    """
    own = module.state_dict(keep_vars=True)
    if wrong := sorted(own.keys() ^ state.keys()):
        raise WeightsError(
            f"the weights must have the model's own {len(own)} names; only one of both has "
            f"{', '.join(map(repr, wrong[:4]))}: give a state dict of the same class"
        )
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
    if other := [name for name in own if tuple(state[name].shape) != shapes[name]]:
        raise WeightsError(
            f"{other[0]!r} must have the model's shape {shapes[other[0]]}; found "
            f"{tuple(state[other[0]].shape)}: give a state dict of the same class"
        )
    holders = Counter(_memory(tensor) for tensor in own.values())
    copies: dict[tuple[str, int], torch.UntypedStorage] = {}
    loaded = {}
    for name, tensor in own.items():
        place = _memory(tensor)
        if holders[place] == 1 or not tensor.numel():
            loaded[name] = state[name].to(tensor.device, tensor.dtype)
            continue
        memory = copies.setdefault(place, tensor.untyped_storage().clone())
        view = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        view.set_(memory, tensor.storage_offset(), tensor.size(), tensor.stride())
        loaded[name] = view.copy_(state[name])
    return loaded


def _memory(tensor: Tensor) -> tuple[str, int]:
    return str(tensor.device), tensor.untyped_storage().data_ptr()
