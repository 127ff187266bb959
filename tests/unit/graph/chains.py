"""Small networks of the kinds that the pipeline normalises."""

import torch
from torch import nn


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
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
    return randomised(nn.Sequential(*body))  # type: ignore[return-value]
