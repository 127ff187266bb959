"""Blocks for random networks: the same mathematics in the many ways in which people spell it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

CHANNELS, SIZE = 4, 6
C = CHANNELS
Block = Callable[[], nn.Module]


class Function(nn.Module):
    """A function of the activation and of tensors that the block stores."""

    def __init__(self, function: Callable[..., Tensor], *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.stored = nn.ParameterList([nn.Parameter(torch.ones(shape)) for shape in shapes])
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.stored)


def block(function: Callable[..., Tensor], *shapes: tuple[int, ...]) -> Block:
    return lambda: Function(function, *shapes)


class Alias(nn.Module):
    """Two convolutions whose weights are two Parameters over one memory."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(C, C, 3, padding=1), nn.Conv2d(C, C, 3, padding=1)
        self.two.weight = nn.Parameter(self.one.weight.data)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.two(F.relu(self.one(x)))
        return found


class NormRead(nn.Module):
    """Batch norm whose weight is read again behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(C)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(x)) * self.norm.weight.view(-1, 1, 1)


class Gate(nn.Module):
    """Squeeze and excitation with linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(C, 2), nn.Linear(2, C)

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.up(F.relu(self.down(x.mean((2, 3))))).sigmoid()
        return x * gate.view(len(x), C, 1, 1).expand_as(x)


def shuffle(x: Tensor) -> Tensor:
    return x.view(len(x), 2, CHANNELS // 2, *x.shape[2:]).transpose(1, 2).flatten(1, 2)


def standardised(x: Tensor, w: Tensor, gain: Tensor) -> Tensor:
    w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5)
    return F.conv2d(x, w * gain, padding=1)


def masked_weight(x: Tensor, w: Tensor) -> Tensor:
    return F.conv2d(x, w * (torch.arange(9, device=w.device).view(3, 3) > 2), padding=1)


def erased(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, 1] = 0
    y[:, :, 2:4] = 0
    return y


def rows(x: Tensor, layer: Callable[[Tensor], Tensor]) -> Tensor:
    """A layer on the channels of each position, as a matrix."""
    last = x.movedim(1, 3)
    return layer(last.flatten(0, 2)).view_as(last).movedim(3, 1)


def across(vector: Tensor) -> Tensor:
    return vector.view(-1, 1, 1)


W = (C, C, 3, 3)
RECTIFIERS: dict[str, Block] = {
    "relu": nn.ReLU,
    "relu in place": lambda: nn.ReLU(inplace=True),
    "leaky relu": lambda: nn.LeakyReLU(0.1),
    "prelu": lambda: nn.PReLU(C),
    "clip": block(lambda x: x.clip(0)),
    "clamp": block(lambda x: x.clamp(min=0)),
    "threshold": lambda: nn.Threshold(0, 0),
    "hardtanh": lambda: nn.Hardtanh(0, float("inf")),
    "maximum": block(lambda x: torch.maximum(x, torch.zeros_like(x))),
    "maximum of a number": block(lambda x: torch.maximum(x, torch.tensor(0.0, dtype=x.dtype))),
    "where": block(lambda x: torch.where(x > 0, x, 0)),
    "where not": block(lambda x: torch.where(x < 0, torch.zeros_like(x), x)),
    "times whether": block(lambda x: x * (x > 0)),
    "filled": block(lambda x: x.masked_fill(x <= 0, 0.0)),
    "leaky maximum": block(lambda x: torch.max(x, 0.1 * x)),
    "prelu of a computed slope": block(lambda x, a: F.prelu(x, a.abs()), (C,)),
}
SINGLE: dict[str, Block] = RECTIFIERS | {
    "conv": lambda: nn.Conv2d(C, C, 3, padding=1),
    "reflected conv": lambda: nn.Conv2d(C, C, 3, padding=1, padding_mode="reflect"),
    "grouped conv": lambda: nn.Conv2d(C, C, 3, padding=1, groups=2),
    "depthwise conv": lambda: nn.Conv2d(C, C, 3, padding=1, groups=C, bias=False),
    "transposed conv": lambda: nn.ConvTranspose2d(C, C, 3, padding=1),
    "weight norm": lambda: weight_norm(nn.Conv2d(C, C, 3, padding=1)),
    "equalised conv": block(lambda x, w: F.conv2d(x, w * 0.3, padding=1), W),
    "cast conv": block(lambda x, w: F.conv2d(x, w.double().to(x.dtype), padding=1), W),
    "turned conv": block(lambda x, w: F.conv2d(x, w.transpose(0, 1).flip(2), padding=1), W),
    "masked conv": block(masked_weight, W),
    "conv of a sum": block(lambda x, v, w: F.conv2d(x, v + 0.5 * w, padding=1), W, W),
    "conv of halves": block(lambda x, v, w: F.conv2d(x, torch.cat((v[:2], w[2:])), padding=1), W, W),
    "conv of a square": block(lambda x, w: F.conv2d(x, w * w, padding=1), W),
    "standardised conv": block(standardised, W, (C, 1, 1, 1)),
    "matmul": block(lambda x, w: (x.movedim(1, 3) @ w).movedim(3, 1), (C, C)),
    "matmul from the left": block(lambda x, w: (w @ x.flatten(2)).view_as(x), (C, C)),
    "einsum": block(lambda x, w: torch.einsum("nchw,dc->ndhw", x, w), (C, C)),
    "einsum with dots": block(lambda x, w: torch.einsum("...chw,dc->...dhw", x, w), (C, C)),
    "einsum of three": block(lambda x, v, w: torch.einsum("nchw,c,dc->ndhw", x, v, w), (C,), (C, C)),
    "gated linear unit": block(lambda x, w: F.glu(torch.cat((x, x * across(w)), 1), 1), (C,)),
    "without NaN": block(lambda x: x.nan_to_num()),
    "tensordot": block(lambda x, w: torch.tensordot(x.movedim(1, 3), w, 1).movedim(3, 1), (C, C)),
    "addmm": block(lambda x, w, b: rows(x, lambda y: torch.addmm(b, y, w)), (C, C), (C,)),
    "addmm in parts": block(
        lambda x, w, b: rows(x, lambda y: b.addmm(y, w, beta=2, alpha=0.5)), (C, C), (C,)
    ),
    "addmm in place": block(lambda x, w: rows(x, lambda y: (y @ w).addmm_(y, w)), (C, C)),
    "baddbmm": block(
        lambda x, w, b: torch.baddbmm(b, w.expand(2, C, C), x.flatten(2)).view_as(x), (C, C), ()
    ),
    "addcmul": block(lambda x, w, b: torch.addcmul(across(b), x, across(w)), (C,), (C,)),
    "addcdiv": block(lambda x, w: torch.addcdiv(x, x, across(w).abs() + 0.5, value=2), (C,)),
    "lerp": block(lambda x: torch.lerp(x, x.flip(3), 0.3)),
    "lerp by a gate": block(lambda x, w: torch.lerp(x, x.flip(2), across(w).sigmoid()), (C,)),
    "alias": Alias,
    "gate": Gate,
    "batch norm": lambda: nn.BatchNorm2d(C),
    "batch norm that is read": NormRead,
    "batch norm of one plus gamma": block(
        lambda x, m, v, g, b: F.batch_norm(x, m, v.abs() + 0.1, 1 + g, b), (C,), (C,), (C,), (C,)
    ),
    "frozen batch norm": block(lambda x, w, b: x * across(w) + across(b), (C,), (C,)),
    "divided by stored": block(lambda x, w: x / (across(w).abs() + 0.5), (C,)),
    "plus a picture": block(lambda x, b: x - b, (1, C, SIZE, SIZE)),
    "plus a number": block(lambda x, b: x + b, ()),
    "group norm": lambda: nn.GroupNorm(2, C),
    "instance norm": lambda: nn.InstanceNorm2d(C, affine=True),
    "relu6": nn.ReLU6,
    "gelu": nn.GELU,
    "rounded": block(lambda x: x.int().to(x.dtype)),
    "divided and rounded": block(lambda x: torch.div(x, 0.3, rounding_mode="floor")),
    "max pool": lambda: nn.MaxPool2d(3, 1, 1),
    "max pool of the same size": block(
        lambda x: F.max_pool2d(F.pad(x, (0, 1, 1, 0), value=-torch.inf), 2, 1)
    ),
    "mean pool": lambda: nn.AvgPool2d(3, 1, 1),
    "adaptive max pool": lambda: nn.AdaptiveMaxPool2d(SIZE),
    "largest beside": block(lambda x: x + x.amax(1, keepdim=True)),
    "median beside": block(lambda x: x - x.median(2, keepdim=True).values),
    "sorted": block(lambda x: x.sort(3).values),
    "dropout": nn.Dropout,
    "shuffle": block(shuffle),
    "flip": block(lambda x: x.flip(1)),
    "permuted": block(lambda x: x[:, [2, 0, 3, 1]]),
    "swapped": block(lambda x: x.swapaxes(2, 3).contiguous()),
    "unfolded": block(lambda x: x.unfold(2, 2, 2).flatten(4).movedim(4, 3).reshape(x.shape)),
    "patches": block(lambda x: F.unfold(x, 3, padding=1).unflatten(1, (C, 9)).mean(2).view_as(x)),
    "tiled": block(lambda x: x[..., :3].tile(1, 1, 1, 2)),
    "erased": block(erased),
    "half of zeros": block(lambda x: torch.cat((x[:, :2], torch.zeros_like(x[:, 2:])), 1)),
    "scaled": block(lambda x: torch.multiply(0.5 * x, 2) / 3),
    "masked by numbers": block(lambda x: x * torch.where(x.flip(3) > 0, 0.5, 1.0)),
    "differences": block(lambda x: F.pad(x.diff(dim=3), (0, 1))),
    "shifted": block(lambda x: x + 1.0),
    "turned round": block(lambda x: 1 - x),
    "centred": block(lambda x: x - x.mean((2, 3), keepdim=True)),
    "resized": block(lambda x: F.interpolate(x, scale_factor=2, mode="nearest-exact")[..., ::2, ::2]),
    "rolled": block(lambda x: x.roll(1, 2)),
}
