"""The same module with other numbers."""

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn


def reloaded(module: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A copy that shares the tensors of `state`, of any dtype, instead of the module's own."""
    # The module's numbers aren't copied, only to be thrown away.
    kept = module.state_dict(keep_vars=True).values()
    empty = {id(t): _empty(t) for t in kept}
    copy = deepcopy(module, dict(empty))
    copy.load_state_dict(dict(state), assign=True)
    return copy.requires_grad_(False)


def _empty(tensor: Tensor) -> Tensor:
    value = torch.empty_like(tensor, device="meta")
    return nn.Parameter(value, requires_grad=False) if isinstance(tensor, nn.Parameter) else value
