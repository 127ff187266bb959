"""A module with other weights."""

from collections import OrderedDict
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn


def reloaded(module: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A copy that shares the tensors of `state`, of any dtype, instead of the module's own."""
    # deepcopy gets empty tensors in place of the module's own, which `load` replaces anyway.
    kept = module.state_dict(keep_vars=True).values()
    empty = {id(t): _empty(t) for t in kept}
    copy = deepcopy(module, computed(module) | empty)
    load(copy, state)
    return copy.requires_grad_(False)


def computed(module: nn.Module) -> dict[int, Any]:
    """For deepcopy, which refuses them: what its parts keep of tensors that were computed from parameters.

    The older torch.nn.utils.weight_norm keeps the weight so that it computed last.
    """
    kept = [value for part in module.modules() for value in vars(part).values()]
    return {id(t): t.detach() for t in kept if isinstance(t, Tensor) and not t.is_leaf}


def double(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy of the state with floating tensors in float64."""
    return {name: t.double() if t.is_floating_point() else t for name, t in state.items()}


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether both have the same names with equal numbers of equal dtypes."""
    return one.keys() == other.keys() and all(
        tensor.dtype == other[name].dtype and torch.equal(tensor, other[name]) for name, tensor in one.items()
    )


def load(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give the module these very tensors, as far as it reads them at inference.

    Supplied are versions, and batch norm's counters, which files from before PyTorch 0.4.1 lack.
    """
    counters = {k: torch.tensor(0) for k in module.state_dict() if k.endswith("num_batches_tracked")}
    module.load_state_dict(versioned(module, counters | dict(state)), assign=True)


def versioned(module: nn.Module, state: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """The state with the versions of the module's parts, which mnasnet asks for, and files lack."""
    found = OrderedDict(state)
    found._metadata = getattr(state, "_metadata", module.state_dict()._metadata)  # type: ignore[attr-defined]
    return found


def _empty(tensor: Tensor) -> Tensor:
    value = torch.empty_like(tensor, device="meta")
    return nn.Parameter(value, requires_grad=False) if isinstance(tensor, nn.Parameter) else value
