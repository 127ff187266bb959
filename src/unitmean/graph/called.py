"""What a module returns where it is called, which its graph must return as well."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._pytree import tree_leaves

from unitmean.errors import NetworkError
from unitmean.graph.inputs import Inputs, arguments, copies, sizes, tensors
from unitmean.graph.undisturbed import repeatable, undisturbed
from unitmean.graph.untraceable import advice


def called(module: nn.Module, x: Inputs) -> list[Any] | None:
    """The leaves of what the module returns; None where tensors have no numbers, or this device no operator
    of their type, as for half precision.

    The module is left as it was. It is called before it is traced: what its code keeps outside of it, as by
    functools.cache, then has numbers, where torch.export would leave tensors without any.
    Raises NetworkError where its code fails.
    """
    own = [*module.parameters(), *module.buffers()]
    if any(t.is_meta or isinstance(t, FakeTensor) for t in (*own, *tensors(x))):
        return None
    try:
        with undisturbed(module), repeatable(tensors(x)[0].device), torch.no_grad():
            _hold_copies(module)  # forward may write into its parameters
            return tree_leaves(module(*arguments(copies(x))))
    except Exception as error:  # users' code raises whatever it likes
        if _out_of_memory(error):
            raise
        words = str(error).strip() or type(error).__name__
        if "not implemented for" in words:
            return None
        raise NetworkError(
            f"the network must take the input that it is given; found, with one of {sizes(x)}: "
            f"{words.splitlines()[0].rstrip('.')}; {advice(words)}"
        ) from error


def _out_of_memory(error: Exception) -> bool:
    """Of a GPU or of the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)


def _hold_copies(module: nn.Module) -> None:
    """Put copies into the places of the module's parameters and buffers."""
    copied: dict[Tensor, Tensor] = {}  # tensors are keys by identity
    for part in module.modules():
        tables: tuple[dict[str, Any], ...] = (part._parameters, part._buffers)
        for table in tables:
            for name, tensor in table.items():
                if tensor is not None and tensor not in copied:
                    copy = tensor.detach().clone()
                    parameter = isinstance(tensor, nn.Parameter)
                    copied[tensor] = nn.Parameter(copy, tensor.requires_grad) if parameter else copy
                if tensor is not None:
                    table[name] = copied[tensor]


def require_as_called(found: Mapping[str, Tensor], returned: Mapping[str, Any], *, coarse: bool) -> None:
    """NetworkError where what a graph returns, by name, is not what the module returned.

    Numbers may differ as rounding makes them differ that grew on its way: by the square root of their type's
    epsilon, relative to the largest. coarse: the module rounds to bfloat16 where the graph doesn't; then that
    epsilon counts, and whole numbers may differ.
    """
    for name, value in found.items():
        own = returned.get(name)
        if (
            not isinstance(own, Tensor)
            or own.shape != value.shape
            or (own.dtype != value.dtype and not coarse)
        ):
            raise _otherwise(name)
        if own.dtype.is_floating_point or own.dtype.is_complex:
            allowed = torch.finfo(torch.bfloat16 if coarse else own.dtype).eps ** 0.5
        elif coarse:
            continue
        else:
            allowed = 0.0
        own, value = _numbers(own), _numbers(value)
        largest = float(own.nan_to_num(0.0, 0.0, 0.0).abs().amax()) if own.numel() else 0.0
        if not torch.allclose(own, value, rtol=0.0, atol=allowed * largest, equal_nan=True):
            raise _otherwise(name)


def _numbers(x: Tensor) -> Tensor:
    return (torch.view_as_real(x.resolve_conj()) if x.is_complex() else x).double().flatten()


def _otherwise(name: str) -> NetworkError:
    return NetworkError(
        "torch.export must make of the network a graph that computes the same; found that its graph returns "
        f"another {name} than the network itself, as where the forward method writes into a tensor that "
        "shares its memory with another: write it without in-place operations, such as x += y"
    )


@contextmanager
def followed(x: Inputs) -> Iterator[None]:
    """An error of an operator of the graph becomes NetworkError; running out of memory passes unchanged."""
    try:
        yield
    except (RuntimeError, IndexError) as error:
        if _out_of_memory(error):
            raise
        raise NetworkError(
            "the network must compute on its own what torch.export made of it; found, with an input of "
            f"{sizes(x)}: "
            f"{str(error).strip().splitlines()[0].rstrip('.')}; {advice(str(error))}"
        ) from error
