"""Small networks of the kinds that the pipeline normalises."""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from unitmean.graph.analysis import analyse
from unitmean.graph.plan import Plan, Site
from unitmean.graph.variables import ONE

Module = TypeVar("Module", bound=nn.Module)


def randomised(module: Module, seed: int = 0) -> Module:
    """In eval mode, with batch-norm statistics that are not the identity."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            value = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(value.abs() + 0.5 if name.endswith("running_var") else 0.5 * value)
    return module.eval()


def chain(*, norm: bool = False, inplace: bool = True, head: bool = True) -> nn.Sequential:
    """Two convolutions, and with a head two linear layers behind 3 x 3 positions; for 3 x 12 x 12."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        normed: list[nn.Module] = [nn.BatchNorm2d(outputs)] if norm else []
        return [nn.Conv2d(inputs, outputs, 3, padding=1), *normed, nn.ReLU(inplace=inplace), nn.MaxPool2d(2)]

    body = [*block(3, 5), *block(5, 7)]
    if head:
        body += [nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(63, 11), nn.ReLU(inplace=inplace)]
        body += [nn.Dropout(), nn.Linear(11, 4)]
    torch.manual_seed(0)
    return randomised(nn.Sequential(*body))


def image(size: int = 12) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(2))


def random_factors(plan: Plan, seed: int = 1) -> Tensor:
    normal = torch.randn(plan.variables, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.where(plan.free, (0.7 * normal).exp(), 1.0)


def free(site: Site) -> int:
    """How many different factors a rectifier's channels may have."""
    return len(set(site.variables.tolist()) - {ONE})


def change(module: nn.Module, x: Tensor, plan: Plan | None = None) -> float:
    """The relative change of the float64 outputs under random factors of all that is free."""
    module, x = module.double(), x.double()
    plan = plan or analyse(module, x)
    with torch.no_grad():
        before = tree_leaves(module(x))
        old = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        new = plan.rescale(random_factors(plan), old)
        assert all(torch.equal(old[name], tensor) for name, tensor in module.state_dict().items())
        module.load_state_dict(new)
        after = tree_leaves(module(x))
        module.load_state_dict(old)
    return max(float((b - a).abs().max() / a.abs().max()) for a, b in zip(before, after, strict=True))
