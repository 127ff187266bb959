"""What a module returns where it is called, which its graph must return as well."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from unitmean.errors import NetworkError
from unitmean.graph.again import Called, call
from unitmean.graph.inputs import Inputs, sizes, tensors
from unitmean.graph.undisturbed import repeatable, undisturbed
from unitmean.graph.untraceable import told


def called(module: nn.Module, x: Inputs) -> Called | None:
    """What the module returns; None where tensors have no numbers, or this device no operator of their type,
    as for half precision.

    The module is left as it was. It is called before it is traced: what its code keeps outside of it, as by
    functools.cache, then has numbers, where torch.export would leave tensors without any.
    Raises NetworkError where its code fails, and where it returns something else when it is called again.
    """
    own = [*module.parameters(), *module.buffers()]
    if any(t.is_meta or isinstance(t, FakeTensor) for t in (*own, *tensors(x))):
        return None
    try:
        with undisturbed(module), repeatable(tensors(x)[0].device), torch.no_grad():
            _hold_copies(module)  # forward may write into its parameters
            return call(module, x)
    except NetworkError:
        raise
    except Exception as error:  # users' code raises whatever it likes
        if _out_of_memory(error):
            raise
        if "not implemented for" in str(error):
            return None
        raise NetworkError(
            f"the network must take the input that it is given; found, with one of {sizes(x)}: {told(error)}"
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
            f"{sizes(x)}: {told(error)}"
        ) from error
