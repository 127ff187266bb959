"""The network inside what training code puts around it."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def unwrapped(module: nn.Module) -> tuple[nn.Module, str]:
    """The innermost network, and what its names are prefixed with in the module's own state dict.

    Looked into are DataParallel, DistributedDataParallel, AveragedModel (as of exponential moving averages)
    and what torch.compile returns.
    """
    prefix = ""
    while (name := _inside(module)) is not None:
        module, prefix = module.get_submodule(name), f"{prefix}{name}."
    return module, prefix


def inside(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of the innermost network, under its own names."""
    return {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}


def _inside(module: nn.Module) -> str | None:
    # No subclass, whose forward method may do more than to call what is inside.
    if type(module) in (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel):
        return "module"
    # By its name: importing the class takes a second.
    name = f"{type(module).__module__}.{type(module).__qualname__}"
    return "_orig_mod" if name == "torch._dynamo.eval_frame.OptimizedModule" else None
