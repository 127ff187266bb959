"""A call of a module, and others where the first left something behind on which the next may depend."""

import random
import warnings
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from unitmean.errors import NetworkError
from unitmean.graph.alike import alike
from unitmean.graph.inputs import Inputs, arguments, copies, tensors

DRAWS = 4  # how often a network is called that draws random numbers which its graph doesn't
DRAWN = "draws random numbers of Python or numpy, which its graph takes for constants: draw torch's"
KEPT = "keeps something between calls: keep it in a buffer, or let the forward method return it"
# Attributes that every module has; of these only buffers may be written by a call, which the graph follows.
_OF_MODULES = set(vars(nn.Module()))


@dataclass(frozen=True)
class Called:
    """The leaves of what a module returned, and whether it drew random numbers of torch's."""

    leaves: list[Any]
    random: bool


def call(module: nn.Module, x: Inputs) -> Called:
    """What the module returns; NetworkError where another call returns something else."""
    given, kept, own = arguments(copies(x)), _attributes(module), _states_of_torch(x)
    drawn = _states_of_others()
    returned = module(*given.by_position, **given.by_name)
    drew = _states_of_others() != drawn
    leaves = tree_leaves(returned)
    found = Called(leaves, random=_states_of_torch(x) != own)
    if drew:
        ends = [_require_again(module, x, leaves, seed, DRAWN) for seed in (*range(1, DRAWS + 1), DRAWS)]
        if ends[-1] == ends[-2] is not None:  # else another thread drew
            warnings.warn(
                "the network draws random numbers of Python or numpy, which are taken for constants; other "
                f"numbers changed nothing, {DRAWS} times",
                stacklevel=2,
            )
    elif _attributes(module) != kept:
        _require_again(module, x, leaves, 0, KEPT)
    return found


def _require_again(
    module: nn.Module, x: Inputs, leaves: list[Any], seed: int, why: str
) -> tuple[Any, ...] | None:
    """NetworkError where another call returns something else; `seed` is of Python's and numpy's numbers.

    Returns their state behind the call; None where it drew none.
    """
    given = arguments(copies(x))
    torch.manual_seed(0)
    random.seed(seed)
    np.random.seed(seed)
    start = _states_of_others()
    returned = module(*given.by_position, **given.by_name)
    end = _states_of_others()
    others = tree_leaves(returned)
    if len(others) != len(leaves) or not all(map(_same, leaves, others)):
        raise NetworkError(
            "the network must return the same for the same input; found that another call returns "
            f"something else, as it {why}"
        )
    return None if end == start else end


def _same(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor):
        return not isinstance(other, Tensor)  # what isn't a tensor is not followed
    return isinstance(other, Tensor) and alike(one, other)


def _attributes(module: nn.Module) -> list[tuple[int, str, Any]]:
    """What may change between calls: the identity of each attribute, and of what containers hold."""
    return [
        (number, name, _identity(value))
        for number, part in enumerate(module.modules())
        for name, value in vars(part).items()
        if name not in _OF_MODULES
    ]


def _identity(value: Any) -> Any:
    if isinstance(value, Mapping):
        return id(value), tuple((id(key), id(held)) for key, held in value.items())
    if isinstance(value, list | tuple | set | deque):
        return id(value), tuple(map(id, value))
    return value if isinstance(value, int | float | str) else id(value)


def _states_of_others() -> tuple[Any, ...]:
    """The state of Python's and of numpy's random numbers."""
    arrays: dict[str, Any] = np.random.get_state(legacy=False)
    return random.getstate(), arrays["state"]["key"].tobytes(), arrays["state"]["pos"]


def _states_of_torch(x: Inputs) -> list[bytes]:
    device = tensors(x)[0].device
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return [state.numpy().tobytes() for state in states]
