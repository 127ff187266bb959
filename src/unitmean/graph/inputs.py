"""What a network is given: a tensor, or its arguments, which may hold tensors in any nesting."""

import inspect
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map

from unitmean.errors import DataError

Inputs = Any
"""A tensor, or a tuple of a forward method's arguments, or `Arguments`."""


class Arguments(NamedTuple):
    """Those of a forward method that takes some by name alone."""

    by_position: tuple[Any, ...]
    by_name: dict[str, Any]


def bound(module: nn.Module, named: Mapping[str, Any]) -> Inputs:
    """The forward method's arguments from what it is to be called with by name.

    Raises DataError for a name that is none of its arguments, and where an argument without a default is
    missing.
    """
    try:
        parameters = inspect.signature(module.forward)
    except ValueError:  # methods of TorchScript have no signature
        parameters = inspect.Signature()
    try:
        found = parameters.bind(**named)
    except TypeError:
        found = parameters.bind_partial()
    if not found.arguments:
        taken = [p.name for p in parameters.parameters.values() if p.kind not in _SEVERAL]
        raise DataError(
            "a dict must hold arguments of the model's forward method, which are "
            f"{_listed(taken) or 'not named'}; found {_listed(named) or 'none'}: leave others out, give the "
            "input itself, as by (batch['image'] for batch in loader), or where the method takes the dict "
            "itself its argument's name with it, as by ({'batch': batch} for batch in loader)"
        )
    return Arguments(found.args, found.kwargs) if found.kwargs else found.args


_SEVERAL = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def arguments(x: Inputs) -> Arguments:
    """The arguments that the forward method is called with."""
    return x if isinstance(x, Arguments) else Arguments(x if isinstance(x, tuple) else (x,), {})


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
