"""Python code of a user's own that makes networks, as a file and a package beside it."""

from pathlib import Path

NETS = """\
from __future__ import annotations

from dataclasses import dataclass

import torch
from blocks import Block
from torch import nn


@dataclass
class Widths:
    first: int = 8
    last: int = 12


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = Widths()
        self.register_buffer("middle", torch.tensor(0.5), persistent=False)
        self.one = Block(3, widths.first)
        self.pool = nn.MaxPool2d(2)
        self.two = nn.Conv2d(widths.first, widths.last, 3, padding=1, padding_mode="circular")
        self.head = nn.Linear(widths.last, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.two(self.pool(self.one(x - self.middle))))
        return self.head(x.mean((2, 3)))


def net() -> Net:
    torch.manual_seed(0)
    return Net()


def several() -> nn.Module:
    class Several(Net):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            y = super().forward(x)
            return y, 2 * y

    return Several()


def counts() -> nn.Module:
    class Counts(Net):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return super().forward(x * (1 + self.calls))

    return Counts()


def tied() -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1))
    made[4].weight = made[2].weight
    return nn.Sequential(*made, nn.ReLU(), nn.Conv2d(8, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyConv2d(8, 3), nn.ReLU())


def scripted() -> nn.Module:
    return torch.jit.script(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()))


def averaged() -> nn.Module:
    return torch.optim.swa_utils.AveragedModel(net())


def nothing() -> None:
    pass


def fails() -> Net:
    raise SystemExit("usage: …")


def with_width(width: int) -> Net:
    return Net()
"""
BLOCK = """\
from torch import nn


class Block(nn.Sequential):
    def __init__(self, given: int, made: int) -> None:
        super().__init__(nn.Conv2d(given, made, 3, padding=1), nn.BatchNorm2d(made), nn.ReLU(inplace=True))
"""


def write_code(folder: Path) -> Path:
    """nets.py, which imports the package `blocks` beside it, whose module is imported relatively."""
    package = folder / "blocks"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from .block import Block\n")
    (package / "block.py").write_text(BLOCK)
    (folder / "nets.py").write_text(NETS)
    return folder / "nets.py"
