"""Weights as a module holds them once they are loaded."""

from collections import Counter
from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn

from unitmean.errors import NetworkError, WeightsError
from unitmean.graph.reload import versioned
from unitmean.graph.undisturbed import undisturbed
from unitmean.graph.untraceable import told


def as_loaded(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the module's state dict would hold after `module.load_state_dict(state)`; the module stays.

    Numbers are rounded to the module's own type, and where several of its tensors lie in one memory, the last
    one that is loaded is what all of them show.

    Raises WeightsError where a tensor is missing, unknown or of another shape, NetworkError where code of the
    module's own makes other numbers of a state dict.
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
    if any(map(_hooked, module.modules())):
        _require_same(module, state, loaded)
    return loaded


def _hooked(part: nn.Module) -> bool:
    """Whether a part has code of its own for what its state dict says or for how one is loaded."""
    hooks = (
        "_state_dict_hooks",
        "_state_dict_pre_hooks",
        "_load_state_dict_pre_hooks",
        "_load_state_dict_post_hooks",
    )
    methods = ("_load_from_state_dict", "_save_to_state_dict", "load_state_dict", "state_dict")
    own = (getattr(type(part), method) is not getattr(nn.Module, method) for method in methods)
    foreign = not type(part).__module__.startswith("torch.")
    return any(getattr(part, hook) for hook in hooks) or (foreign and any(own))


def _require_same(module: nn.Module, state: Mapping[str, Tensor], loaded: Mapping[str, Tensor]) -> None:
    """NetworkError where loading `state` makes other numbers than those that are compared."""
    with undisturbed(module):  # plain tensors that were computed with gradients can't be copied
        copy = deepcopy(module)
    try:
        copy.load_state_dict(versioned(copy, state))
    except Exception as error:  # users' code raises whatever it likes
        raise NetworkError(
            f"the module must load the weights; found that its own code refuses them: {told(error)}"
        ) from error
    held = dict(copy.named_parameters(remove_duplicate=False)) | dict(
        copy.named_buffers(remove_duplicate=False)
    )
    for name, tensor in loaded.items():
        if name in held and not bool(((held[name] == tensor) | (tensor != tensor)).all()):
            raise NetworkError(
                "a state dict must hold the module's own numbers; found that loading it makes others of "
                f"{name!r}, by a hook or a method of the module's: remove that, or load and save without it"
            )


def _memory(tensor: Tensor) -> tuple[str, int]:
    return str(tensor.device), tensor.untyped_storage().data_ptr()
