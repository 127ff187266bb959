"""A GPU for tests where there is none: tensors that say that they lie on cuda:0, computed by the CPU.

As on a GPU, an operator that meets tensors of both devices fails, unless the CPU's holds a single number.
Unlike those of FakeTensorMode, the tensors have values: whole commands can be walked, to the files that they
write. What is not walked are gradients, which want a stream of the driver, and nvJPEG, in whose place the CPU
decodes.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
# These move numbers between devices, or take places in a tensor of a GPU from the CPU.
MIXED = {"copy_", "index", "index_put", "index_put_", "_index_put_impl_"}
# Sums of products, which a GPU adds up in float32 whatever the type of the numbers.
PRODUCTS = {"addmm", "baddbmm", "bmm", "conv2d", "convolution", "linear", "matmul", "mm"}
HALVES = (torch.float16, torch.bfloat16)
Types = Sequence[type]
Args = Sequence[Any]
Kwargs = Mapping[str, Any] | None


def _batch_norm(x: Tensor, *settings: Any) -> tuple[Tensor, ...]:
    return *torch.ops.aten.native_batch_norm.default(x, *settings), torch.empty(0, dtype=torch.uint8)


# What the CPU computes in the place of operators that GPUs alone have.
INSTEAD = {
    torch.ops.aten.cudnn_batch_norm.default: _batch_norm,
    torch.ops.aten._fused_sdp_choice.default: lambda *args, **kwargs: 0,  # attention by its definition
}


class OnGpu(Tensor):
    """The same memory as the tensor that it is made of, under another device's name."""

    host: Tensor

    @staticmethod
    def __new__(cls, host: Tensor) -> "OnGpu":
        made: OnGpu = Tensor._make_subclass(
            cls, host, host.requires_grad, dispatch_device=True, device_for_backend_keys=GPU
        )
        made.host = host
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Types, args: Args = (), kwargs: Kwargs = None
    ) -> Any:
        return computed(func, args, kwargs or {})

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"{self.host} on a pretended GPU"

    def tolist(self) -> Any:
        return self.host.tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def record_stream(self, stream: object) -> None: ...


class Operators(TorchDispatchMode):
    """Sees the operators that make a tensor from nothing, too."""

    def __torch_dispatch__(self, func: Any, types: Types, args: Args = (), kwargs: Kwargs = None) -> Any:
        faked = torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.FAKE)
        if faked and func is not torch.ops.prim.device.default:
            return func(*args, **kwargs or {})  # torch.export has tensors without values of its own
        return computed(func, args, kwargs or {})


class Methods(TorchFunctionMode):
    """What torch does to a tensor before it comes to operators, and would ask the driver for."""

    def __torch_function__(self, func: Any, types: Types, args: Args = (), kwargs: Kwargs = None) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.to:
            args, kwargs = tree_map(_numbered, (tuple(args), dict(kwargs)))
        if func in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[0], OnGpu):
            if isinstance(args[1], list):  # of which torch makes a tensor on the GPU, without an operator
                args = (args[0], torch.tensor(args[1], dtype=None if args[1] else torch.long), *args[2:])
        return func(*args, **kwargs)


def computed(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The operator on the CPU; what it makes lies where it would."""
    if func is torch.ops.prim.device.default:
        return GPU
    leaves = tree_flatten((args, kwargs))[0]
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    ours = [tensor for tensor in tensors if isinstance(tensor, OnGpu)]
    asked = next((leaf for leaf in leaves if isinstance(leaf, torch.device)), None)
    name = func.overloadpacket.__name__ if isinstance(func, torch._ops.OpOverload) else ""
    if ours and asked is None and not (name in MIXED and isinstance(args[0], OnGpu)):
        strangers = [t for t in tensors if not isinstance(t, OnGpu) and t.ndim and name != "copy_"]
        if strangers:
            raise RuntimeError(f"{func}: expected all tensors to be on the same device; found cuda:0 and cpu")
    gpu = bool(ours) if asked is None else asked.type == "cuda"
    if name == "copy_":
        gpu = isinstance(args[0], OnGpu)
    args, kwargs = tree_map(_of_host, (tuple(args), dict(kwargs) | _unpinned(kwargs)))
    half = next((t.dtype for t in tensors if t.dtype in HALVES), None) if name in PRODUCTS else None
    func = INSTEAD.get(func, func)
    if half is None:
        result = func(*args, **kwargs)
    else:
        args, kwargs = tree_map(
            lambda leaf: leaf.float() if isinstance(leaf, Tensor) else leaf, (args, kwargs)
        )
        result = func(*args, **kwargs).to(half)
    if asked is not None and isinstance(result, Tensor) and tensors and gpu != bool(ours):
        result = result.clone()  # other memory
    known = {id(tensor.host): tensor for tensor in ours}  # results in place, and those into `out=`
    return tree_map(lambda made: _on_gpu(made, known) if gpu else made, result)


@contextmanager
def pretended() -> Iterator[None]:
    """Within it torch has a GPU. Gradients are off."""
    stands_in: dict[str, Any] = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_name": lambda device=None: "pretended GPU",
        "get_rng_state": lambda device=None: torch.zeros(1),
        "set_rng_state": lambda state, device=None: None,
        "synchronize": lambda device=None: None,
        "stream": lambda stream: nullcontext(),
        "Stream": lambda device=None: _Stream(),
        "current_stream": lambda device=None: _Stream(),
        "Event": _Event,
    }
    torch._C._ensureCUDADeviceGuardSet()  # from now on no driver is asked which device is the current one
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with mock.patch.multiple(torch.cuda, **stands_in), _in_threads(), _modes():
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)


@contextmanager
def _modes() -> Iterator[None]:
    with torch.no_grad(), Methods(), Operators():  # type: ignore[no-untyped-call]
        yield


def _in_threads() -> AbstractContextManager[object]:
    """Threads begin without modes of their own."""
    run = threading.Thread.run

    def running(thread: threading.Thread) -> None:
        with _modes():
            run(thread)

    return mock.patch.object(threading.Thread, "run", running)


class _Event:
    def record(self, stream: object = None) -> None: ...

    def synchronize(self) -> None: ...


class _Stream:
    def record_event(self) -> _Event:
        return _Event()

    def wait_event(self, event: _Event) -> None: ...


def _numbered(leaf: Any) -> Any:
    """torch asks the driver which GPU is meant where no number is given."""
    gpu = leaf == "cuda" if isinstance(leaf, str) else isinstance(leaf, torch.device) and leaf.type == "cuda"
    return GPU if gpu else leaf


def _of_host(leaf: Any) -> Any:
    if isinstance(leaf, OnGpu):
        return leaf.host
    return CPU if isinstance(leaf, torch.device) else leaf


def _unpinned(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {"pin_memory": False} if kwargs.get("pin_memory") else {}


def _on_gpu(made: Any, known: Mapping[int, OnGpu]) -> Any:
    if not isinstance(made, Tensor) or isinstance(made, OnGpu):
        return made
    return known[id(made)] if id(made) in known else OnGpu(made)
