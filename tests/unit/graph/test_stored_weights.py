"""Stored tensors that a network computes with before it uses them: what absorbs a factor, what ties."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from unit.graph.chains import change, free, image, randomised

from unitmean.graph.analysis import analyse

CHANNELS = 6


class Between(nn.Module):
    """A rectified convolution, a probe of it, a last convolution; and tensors for the probe to use."""

    mask: Tensor
    hidden: Tensor
    # Where a test adds them.
    again: nn.Conv2d
    one: nn.Parameter
    two: nn.Parameter

    def __init__(self, probe: Callable[["Between", Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, CHANNELS, 3), nn.Conv2d(CHANNELS, 2, 1)
        self.conv, self.norm = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS)
        self.gain = nn.Parameter(torch.ones(CHANNELS, 1, 1, 1))
        self.vector, self.other = nn.Parameter(torch.ones(CHANNELS)), nn.Parameter(torch.ones(CHANNELS))
        self.matrix = nn.Parameter(torch.ones(CHANNELS, CHANNELS))
        self.place = nn.Parameter(torch.ones(1, CHANNELS, 10, 10))
        self.number = nn.Parameter(torch.ones(()))
        self.flat = nn.Parameter(torch.ones(3, 9 * CHANNELS))
        self.register_buffer("mask", torch.ones(CHANNELS, CHANNELS, 3, 3))
        self.register_buffer("hidden", torch.ones(CHANNELS), persistent=False)
        self.probe = probe
        randomised(self)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.probe(self, F.relu(self.first(x))))
        return found


def normed(x: Tensor, m: Between, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    return F.batch_norm(x, m.norm.running_mean, m.norm.running_var, weight, bias)


def conv(x: Tensor, weight: Tensor) -> Tensor:
    return F.relu(F.conv2d(x, weight, padding=1))


def across(vector: Tensor) -> Tensor:
    return vector.view(-1, 1, 1)


def adapted(m: Between) -> Tensor:
    """As LoRA: each side of the product takes up the factors on its side."""
    return m.matrix + 0.5 * (m.conv.weight[:, :2, 0, 0] @ m.mask[:2, :, 0, 0])


def attention(x: Tensor) -> Tensor:
    return (x.mT @ x).softmax(-1)


def standardised(m: Between) -> Tensor:
    w = m.conv.weight
    return (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5)


def by_batch_norm(m: Between) -> Tensor:  # as timm spells it
    w, gain = m.conv.weight, (0.7 * m.gain).view(-1)
    w = F.batch_norm(w.reshape(1, CHANNELS, -1), None, None, weight=gain, training=True, momentum=0.0)
    return w.reshape_as(m.conv.weight)


# A probe, and how many factors its own rectifier and the first one may choose.
PROBES: dict[str, tuple[Callable[[Between, Tensor], Tensor], int, int]] = {
    "one plus gamma": (lambda m, x: F.relu(normed(x, m, 1 + m.vector, m.norm.bias)), 6, 6),
    "a weight that is clamped": (lambda m, x: F.relu(normed(x, m, m.vector.clamp(0.1), m.norm.bias)), 6, 6),
    "a weight that is cast": (lambda m, x: F.relu(normed(x, m, m.vector.double(), m.norm.bias)), 6, 6),
    "a weight seen through a view": (
        lambda m, x: F.relu(normed(x, m, m.gain.view(-1), m.norm.bias.detach())), 6, 6,
    ),
    "a bias without a weight": (lambda m, x: F.relu(normed(x, m, None, m.norm.bias)), 6, 6),
    "a weight without a bias": (lambda m, x: F.relu(normed(x, m, m.vector, None)), 6, 6),
    "a bias that is computed": (lambda m, x: F.relu(normed(x, m, m.vector, m.norm.bias**2)), 0, 6),
    "absorbed here, read there": (lambda m, x: F.relu(m.norm(x)) * across(m.norm.weight), 6, 6),
    "absorbed here, divides there": (
        lambda m, x: F.relu(m.norm(x)) / across(m.norm.get_buffer("running_var")), 6, 6,
    ),
    "a slope that is computed": (lambda m, x: F.prelu(m.conv(x), m.conv.get_parameter("bias").abs()), 0, 6),
    "a slope of its own": (lambda m, x: F.prelu(m.conv(x), 2 * m.vector), 6, 6),
    "rounded to whole numbers": (lambda m, x: F.relu(m.conv(x)).int().to(x.dtype), 0, 6),
    "rounded to bytes": (lambda m, x: F.relu(m.conv(x)).to(torch.uint8).to(x.dtype), 0, 6),
    "made true or false": (lambda m, x: F.relu(m.conv(x)).bool().to(x.dtype), 0, 6),
    "divided with rounding": (lambda m, x: torch.div(F.relu(m.conv(x)), 0.1, rounding_mode="floor"), 0, 6),
    "cast weight": (lambda m, x: conv(x, m.conv.weight.double().to(x.dtype)), 6, 6),
    "constant factor": (lambda m, x: conv(x, 0.3 * m.conv.weight / 7), 6, 6),
    "learned factor": (lambda m, x: conv(x, m.conv.weight * m.number), 6, 6),
    "mask": (lambda m, x: conv(x, m.conv.weight * m.mask), 6, 6),
    "view": (lambda m, x: conv(x, m.mask.flatten(1).view(6, 6, 9).unflatten(2, (3, 3))), 6, 6),
    "transposed and flipped": (lambda m, x: conv(x, m.conv.weight.transpose(0, 1).flip(2)), 6, 6),
    "two halves": (lambda m, x: conv(x, torch.cat((m.conv.weight[:3], m.mask[3:]))), 6, 6),
    "a row twice": (lambda m, x: conv(x, m.conv.weight[[0, 0, 1, 2, 3, 3]]), 4, 6),
    "sum of two": (lambda m, x: conv(x, m.conv.weight + 0.5 * m.mask), 6, 6),
    "standardised": (lambda m, x: conv(x, standardised(m)), 1, 1),
    "standardised with a gain": (lambda m, x: conv(x, standardised(m) * m.gain), 6, 1),
    "standardised by batch norm": (lambda m, x: conv(x, by_batch_norm(m)), 6, 1),
    "divided by its own norm": (lambda m, x: conv(x, m.conv.weight / m.conv.weight.norm()), 1, 1),
    "plus a stored vector": (lambda m, x: F.relu(m.conv(x) + across(m.vector)), 6, 6),
    "minus a stored picture": (lambda m, x: F.relu(m.conv(x) - m.place), 6, 6),
    "plus a stored number": (lambda m, x: F.relu(m.conv(x) + m.number), 1, 6),
    "frozen batch norm": (lambda m, x: F.relu(m.conv(x) * across(m.vector) + across(m.other)), 6, 6),
    "affine by hand": (
        lambda m, x: F.relu(F.group_norm(x, 2) * across(m.vector) + across(m.other)), 6, 0,
    ),
    "instance norm": (lambda m, x: F.relu(F.instance_norm(x, weight=m.vector, bias=m.other)), 6, 0),
    "root mean square norm": (
        lambda m, x: F.relu(F.rms_norm(x.movedim(1, 3), [6], m.vector)).movedim(3, 1), 6, 0,
    ),
    "not in the state dict": (lambda m, x: F.relu(m.conv(x) * across(m.hidden)), 6, 6),
    "added, not in the state dict": (lambda m, x: F.relu(m.conv(x) + across(m.hidden)), 0, 6),
    "matmul": (lambda m, x: F.relu(x.movedim(1, 3) @ m.matrix).movedim(3, 1), 6, 6),
    "matmul from the left": (lambda m, x: F.relu(m.matrix @ x.flatten(2)).view_as(x), 6, 6),
    "bmm": (
        lambda m, x: F.relu(torch.bmm(m.matrix.expand(2, 6, 6), x.flatten(2))).view_as(x), 6, 6,
    ),
    "sum with a matrix of low rank": (lambda m, x: F.relu(x.movedim(1, 3) @ adapted(m)).movedim(3, 1), 6, 6),
    "convolution with a matrix of low rank": (
        lambda m, x: conv(x, m.conv.weight + (m.matrix[:, :3] @ m.flat).view(m.mask.shape)), 6, 6,
    ),
    "a matrix by itself": (lambda m, x: F.relu(x.movedim(1, 3) @ (m.matrix @ m.matrix)).movedim(3, 1), 0, 0),
    "einsum": (lambda m, x: F.relu(torch.einsum("nchw,dc->ndhw", x, m.matrix)), 6, 6),
    "einsum along channels": (lambda m, x: F.relu(torch.einsum("nchw,c->nchw", x, m.vector)), 6, 6),
    "einsum with dots": (
        lambda m, x: F.relu(torch.einsum("n...c,cd->n...d", x.movedim(1, 3), m.matrix)).movedim(3, 1), 6, 6,
    ),
    "einsum with dots on both sides": (
        lambda m, x: F.relu(torch.einsum("...hw,...->h...w", x, m.vector)).movedim(0, 2), 6, 6,
    ),
    "einsum without a result": (
        lambda m, x: F.relu(torch.einsum("nchw,cx", x, m.matrix)).movedim(3, 1), 6, 6,
    ),
    "einsum of one tensor": (
        lambda m, x: F.relu(torch.einsum("nchw->cnh", m.conv(x)).movedim(1, 0))[..., None], 6, 6,
    ),
    "einsum of three": (
        lambda m, x: F.relu(torch.einsum("nchw,cd,d->ndhw", x, m.matrix, m.vector)), 6, 6,
    ),
    "einsum along a diagonal": (lambda m, x: F.relu(torch.einsum("nckk->nck", x))[..., None], 0, 0),
    "gated linear unit": (lambda m, x: F.relu(F.glu(torch.cat((x, m.conv(x)), 1), 1)), 6, 6),
    "without NaN": (lambda m, x: F.relu(m.conv(x).nan_to_num()), 6, 6),
    "one in the place of NaN": (lambda m, x: F.relu(m.conv(x).nan_to_num(1.0)), 0, 6),
    "broadcast": (lambda m, x: F.relu(torch.broadcast_tensors(m.conv(x), across(m.vector))[0]), 6, 6),
    "linear with a vector": (
        lambda m, x: F.relu(F.linear(x.movedim(1, 3), m.vector)).unsqueeze(1).expand(-1, 6, -1, -1), 1, 6,
    ),
    "a computed matrix": (lambda m, x: F.relu(x.movedim(1, 3) @ m.matrix.exp()).movedim(3, 1), 1, 1),
    "by an activation's softmax": (
        lambda m, x: F.relu(attention(x.flatten(2)) @ m.conv(x).flatten(2).mT).mT.view_as(x),
        6, 0,
    ),
    "weights from activations": (
        lambda m, x: F.relu(F.conv2d(x, m.conv.weight * F.relu(m.conv(x)).mean())), 0, 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROBES)
def test_output_and_freedom(name: str) -> None:
    probe, own, first = PROBES[name]
    module = Between(probe)
    assert change(module, image()) < 1e-12
    plan = analyse(module, image().double())
    assert (free(plan.sites[-1]), free(plan.sites[0])) == (own, first)


def pruned(module: nn.Module) -> nn.Module:
    found: nn.Module = prune.l1_unstructured(module, "weight", 0.3)
    return found


@pytest.mark.filterwarnings("ignore:The tensor attributes")  # pruning computes them before the forward method
@pytest.mark.parametrize("wrap", [weight_norm, spectral_norm, pruned])
def test_parametrised_convolutions(wrap: Callable[[nn.Module], nn.Module]) -> None:
    torch.manual_seed(0)
    convs = [wrap(nn.Conv2d(i, o, 3)) for i, o in ((3, 6), (6, 6), (6, 2))]
    module = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2]).eval()
    plan = analyse(module, image())
    expected = {weight_norm: [1, 1], spectral_norm: [0, 0]}.get(wrap, [6, 6])
    assert [free(site) for site in plan.sites] == expected
    assert change(module, image()) < 1e-12
    if wrap is spectral_norm:
        assert "0.parametrizations.weight.original is also used by" in str(plan.sites[0].reasons[0])


def test_parameters_over_one_memory_are_one() -> None:
    module = Between(lambda m, x: F.relu(m.again(F.relu(m.conv(x)))))
    module.again = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
    module.again.weight = nn.Parameter(module.conv.weight.data)
    assert module.again.weight is not module.conv.weight
    assert analyse(module, image()).aliases == {"conv.weight": ("conv.weight", "again.weight")}
    assert change(module, image()) < 1e-12


def test_parameters_that_share_a_part_of_their_memory_stay() -> None:
    module = Between(lambda m, x: F.relu(normed(m.conv(x), m, m.one, m.two)))
    both = torch.arange(1.0, 10.0)
    module.one, module.two = nn.Parameter(both[:6]), nn.Parameter(both[3:])
    plan = analyse(module, image())
    assert free(plan.sites[-1]) == 0
    assert change(module, image()) < 1e-12


def test_stored_tensors_side_by_side_in_one_memory_are_free() -> None:
    module = Between(lambda m, x: F.relu(normed(m.conv(x), m, m.one, m.two)))
    both = torch.arange(1.0, 13.0)
    module.one, module.two = nn.Parameter(both[:6]), nn.Parameter(both[6:])
    assert free(analyse(module, image()).sites[-1]) == 6
    assert change(module, image()) < 1e-12


def test_a_stored_tensor_that_leaves_the_network_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Between(lambda m, x: F.relu(m.conv(x)))
    bias = module.conv.get_parameter
    monkeypatch.setattr(module, "forward", lambda x: (Between.forward(module, x), bias("bias") * 2))
    plan = analyse(module, image())
    assert free(plan.sites[-1]) == 0
    assert "conv.bias is also used by the network's output" in str(plan.sites[-1].reasons[0])
