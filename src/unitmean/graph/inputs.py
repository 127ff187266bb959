"""What a network is given: a tensor, or a tuple of arguments, which may hold tensors in any nesting."""

import inspect
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map

from unitmean.errors import DataError

Inputs = Any
"""A tensor, or a tuple of a forward method's arguments."""


def by_position(module: nn.Module, named: Mapping[str, Any]) -> tuple[Any, ...]:
    """The forward method's arguments in its own order, from what it is to be called with by name.

    Defaults stand for those in between that aren't named. Raises DataError for a name that is none of its
    arguments, and where an argument without a default is missing.
    """
    parameters = _named(module)
    needed = [name for name, default in parameters.items() if default is inspect.Parameter.empty]
    if not named or not set(needed) <= named.keys() <= parameters.keys():
        raise DataError(
            "a dict must hold arguments of the model's forward method, which are "
            f"{_listed(parameters) or 'not named'}; found {_listed(named) or 'none'}: leave others out, or "
            "give the input itself, as by (batch['image'] for batch in loader)"
        )
    last = max(list(parameters).index(name) for name in named)
    return tuple(named.get(name, default) for name, default in list(parameters.items())[: last + 1])


def _named(module: nn.Module) -> dict[str, Any]:
    """The arguments of the forward method that may be given by place or by name, and their defaults."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except ValueError:  # methods of TorchScript have no signature
        return {}
    return {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def arguments(x: Inputs) -> tuple[Any, ...]:
    """The arguments that the forward method is called with."""
    return x if isinstance(x, tuple) else (x,)


def tensors(x: Inputs) -> list[Tensor]:
    """All tensors among the arguments, in order."""
    return [leaf for leaf in tree_leaves(x) if isinstance(leaf, Tensor)]


def sizes(x: Inputs) -> str:
    """The shapes of all tensors among the arguments, for people."""
    return ", ".join(" x ".join(map(str, t.shape)) for t in tensors(x))


def count(x: Inputs) -> int:
    """How many images (or other items) the batch holds: the first dimension of the first tensor."""
    first = tensors(x)[0]
    return len(first) if first.ndim else 1


def of_batch(x: Inputs, images: int) -> Inputs:
    """The first `images` of the batch; tensors whose first dimension isn't the batch stay whole."""
    whole = count(x)
    return tree_map(lambda t: t[:images] if _batched(t, whole) else t, x)


def doubled(x: Inputs) -> Inputs:
    """The first image twice."""
    whole = count(x)
    return tree_map(lambda t: t[:1].expand(2, *t.shape[1:]) if _batched(t, whole) else t, x)


def converted(
    x: Inputs, dtype: torch.dtype, device: torch.device | None = None, *, copy: bool = False
) -> Inputs:
    """Floating tensors in `dtype`, all on `device`; `copy` where the network may write into its inputs."""
    return tree_map(
        lambda t: (
            t.to(device, dtype if t.is_floating_point() else None, copy=copy) if isinstance(t, Tensor) else t
        ),
        x,
    )


def copies(x: Inputs) -> Inputs:
    """The same arguments, for a network that may write into them."""
    return tree_map(lambda t: t.clone() if isinstance(t, Tensor) else t, x)


def kind(x: Inputs) -> Hashable:
    """All that a trace depends on but for sizes: each tensor's type and dimensions, and what is no tensor."""
    leaves, structure = tree_flatten(x)
    return str(structure), *(
        (leaf.ndim, None if leaf.is_floating_point() else leaf.dtype)
        if isinstance(leaf, Tensor)
        else (type(leaf), repr(leaf))
        for leaf in leaves
    )


def shape(x: Inputs) -> Hashable:
    """All that a trace depends on: the kind of the inputs, and the shapes of their tensors."""
    return kind(x), tuple(t.shape for t in tensors(x))


def _batched(value: Any, images: int) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) == images
