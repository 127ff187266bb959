"""The engine: what may be rescaled, and that rescaling it changes nothing."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from unit.graph.chains import chain, change, image, random_factors, randomised

from unitmean.errors import NetworkError
from unitmean.graph.analysis import analyse
from unitmean.graph.plan import Plan


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("inplace", [False, True])
def test_chain_with_head_is_all_free_and_unchanged(norm: bool, inplace: bool) -> None:
    module = chain(norm=norm, inplace=inplace)
    plan = analyse(module, image())
    assert [site.channels for site in plan.sites] == [5, 7, 11]
    assert all(site.variables.ne(0).all() for site in plan.sites)
    assert plan.variables == 1 + 23 + (12 if norm else 0)
    assert change(module, image()) < 1e-13


def test_powers_of_two_change_no_bit_in_float32() -> None:
    module, x = chain(norm=True), image()
    plan = analyse(module, x)
    exponents = torch.randint(-6, 7, (plan.variables,), generator=torch.Generator().manual_seed(3))
    factors = torch.where(plan.free, exponents.double().exp2(), 1.0)
    with torch.no_grad():
        before = module(x)
        module.load_state_dict(plan.rescale(factors))
        assert torch.equal(module(x), before)


def test_a_networks_output_is_pinned_or_free_as_asked() -> None:
    module = chain(head=False)
    preserved, normalised = (analyse(module, image(), outputs=o) for o in ("preserve", "normalise"))
    assert preserved.sites[-1].variables.eq(0).all()
    assert set(preserved.sites[-1].reasons) == {"it is the network's output"}
    assert preserved.sites[0].variables.ne(0).all()
    assert normalised.sites[-1].variables.ne(0).all()
    factors = random_factors(normalised)
    with torch.no_grad():
        before = module.double()(image().double())
        module.load_state_dict(normalised.rescale(factors))
        after = module(image().double()) * factors[normalised.outputs[0]]
    assert torch.allclose(before, after, rtol=1e-13, atol=0)


def test_rescaling_back_restores_the_weights() -> None:
    module = chain(norm=True).double()
    plan = analyse(module, image().double())
    factors = random_factors(plan)
    there = plan.rescale(factors)
    back = plan.rescale(1 / factors, there)
    for name, tensor in module.state_dict().items():
        assert torch.allclose(back[name], tensor, rtol=1e-14, atol=0)
        assert torch.equal(there[name], tensor) == (name.endswith(("running_var", "tracked", "13.bias")))


def test_scales_must_be_positive_and_one_at_zero() -> None:
    module = chain()
    plan = analyse(module, image())
    factors = torch.ones(plan.variables, dtype=torch.float64)
    for index, value in ((0, 2.0), (1, 0.0), (2, -1.0), (3, float("nan"))):
        wrong = factors.clone()
        wrong[index] = value
        with pytest.raises(ValueError, match="positive finite"):
            plan.rescale(wrong)


class Module(nn.Module):
    """Two convolutions and a probe between them, which gets the module and the rectified first."""

    d: nn.Conv2d  # where a test adds it

    def __init__(self, probe: Callable[["Module", Tensor], Tensor], channels: int = 6) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, channels, 3), nn.Conv2d(channels, channels, 3, padding=1)
        self.c, self.probe = nn.Conv2d(channels, 2, 1), probe
        self.slope = nn.Parameter(torch.ones(channels))
        self.grouped = nn.Parameter(torch.ones(channels, channels // 3, 3, 3))
        self.depthwise = nn.Parameter(torch.ones(channels, 1, 3, 3))
        self.line, self.solid = nn.Conv1d(channels, channels, 3), nn.Conv3d(channels, channels, (1, 3, 3))
        self.dense, self.ten = nn.Linear(channels, channels), nn.Linear(10, 10)
        self.norm, self.group = nn.BatchNorm2d(channels), nn.GroupNorm(2, channels)
        self.layer = nn.LayerNorm([channels, 10, 10])
        randomised(self)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.c(self.probe(self, F.relu(self.a(x))))
        return found


# Probe, and how many different factors the first rectifier's six channels may have.
PROBES: dict[str, tuple[Callable[[Module, Tensor], Tensor], int]] = {
    "identity": (lambda m, x: m.b(x), 6),
    "constant added": (lambda m, x: x + 1.0, 0),
    "zero added": (lambda m, x: x + 0, 6),
    "square": (lambda m, x: x * x, 0),
    "power": (lambda m, x: x**2, 0),
    "scalar factor": (lambda m, x: 3.0 * x / 7, 6),
    "relu6": (lambda m, x: F.relu6(m.b(x)), 6),
    "relu6 at once": (lambda m, x: F.relu6(x), 0),
    "gelu": (lambda m, x: F.gelu(x), 0),
    "softmax": (lambda m, x: x.softmax(1), 0),
    "residual": (lambda m, x: x + F.relu(m.b(x)), 6),
    "residual with a constant": (lambda m, x: x + (m.b(x) + 0.5), 0),
    "gate": (lambda m, x: x * m.b(x).sigmoid(), 6),
    "gate by itself": (lambda m, x: x * x.sigmoid(), 0),
    "product of activations": (lambda m, x: x * F.relu(m.b(x)), 6),
    "product of rectified activations": (lambda m, x: F.relu(m.b(x)) * x, 0),
    "product with what isn't rectified": (lambda m, x: m.b(x) * x, 6),
    "leaky": (lambda m, x: F.leaky_relu(m.b(x), 0.1), 6),
    "prelu": (lambda m, x: F.prelu(m.b(x), m.slope), 6),
    "parameter used twice": (lambda m, x: m.b(m.b(x)), 6),
    "parameter used otherwise": (lambda m, x: m.b(x) * m.b.weight.abs().mean(), 1),
    "parameter added": (lambda m, x: x + m.slope.view(-1, 1, 1), 6),
    "parameter multiplied": (lambda m, x: x * m.slope.view(-1, 1, 1), 6),
    "computed weight": (lambda m, x: F.conv2d(x, m.b.weight / m.b.weight.norm()), 1),
    "cat": (lambda m, x: torch.cat((x[:, 3:], m.b(x)[:, :3]), 1), 6),
    "chunk and shuffle": (lambda m, x: torch.cat(x.chunk(2, 1)[::-1], 1), 6),
    "channel shuffle": (lambda m, x: x.view(2, 2, 3, 10, 10).transpose(1, 2).flatten(1, 2), 6),
    "flipped positions": (lambda m, x: m.b(x.flip(2)), 6),
    "mean over channels": (lambda m, x: x - x.mean(1, keepdim=True), 1),
    "reflected": (lambda m, x: F.pad(x, (1, 1, 1, 1), mode="reflect"), 6),
    "padded with ones": (lambda m, x: F.pad(x, (1, 1, 1, 1), value=1.0), 0),
    "padded with zeros": (lambda m, x: F.pad(x, (1, 1, 1, 1)), 6),
    "padded channels": (lambda m, x: F.pad(m.b(x)[:, :4], (0, 0, 0, 0, 1, 1)), 6),
    "interpolated": (lambda m, x: F.interpolate(x, scale_factor=2, mode="bilinear"), 6),
    "clamped at zero": (lambda m, x: m.b(x).clamp(min=0), 6),
    "clamped at one": (lambda m, x: x.clamp(max=1.0), 0),
    "divided by an activation": (lambda m, x: m.b(x) / (x + 1).mean(), 0),
    "grouped": (lambda m, x: F.conv2d(m.b(x), m.grouped, groups=3, padding=1), 6),
    "depthwise": (lambda m, x: F.conv2d(m.b(x), m.depthwise, groups=6, padding=1), 6),
    "dilated and strided": (lambda m, x: F.conv2d(x, m.b.weight, m.b.bias, dilation=2, stride=2), 6),
    "transposed": (lambda m, x: F.conv_transpose2d(x, m.b.weight, stride=2), 6),
    "transposed in groups": (lambda m, x: F.conv_transpose2d(x, m.grouped, groups=3), 6),
    "conv1d over rows": (lambda m, x: F.conv1d(x.flatten(2), m.b.weight[..., 0]).unsqueeze(2), 6),
    "conv1d": (lambda m, x: m.line(x.flatten(2)).unsqueeze(2), 6),
    "conv3d": (lambda m, x: m.solid(x.unsqueeze(2)).squeeze(2), 6),
    "linear over channels": (lambda m, x: m.dense(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), 6),
    "linear over positions": (lambda m, x: m.ten(x), 1),
    "batch norm": (lambda m, x: m.norm(x), 6),
    "batch norm of the batch": (lambda m, x: F.batch_norm(x, None, None, training=True), 0),
    "group norm": (lambda m, x: F.relu(m.group(m.b(x))), 6),
    "layer norm": (lambda m, x: F.relu(m.layer(m.b(x))), 6),
    "norm at once": (lambda m, x: m.group(x), 0),
    "max and mean pooled": (lambda m, x: F.max_pool2d(x, 3, 1, 1) + F.avg_pool2d(x, 3, 1, 1), 6),
    "replicated": (lambda m, x: F.pad(x, (2, 2, 1, 1), mode="replicate"), 6),
    "mean over positions": (lambda m, x: x.mean((2, 3), keepdim=True), 6),
    "sum over positions": (lambda m, x: x.sum(3, keepdim=True), 6),
    "split and stacked": (lambda m, x: torch.stack(x.split(2, 1), 1).flatten(1, 2), 6),
    "functional in place": (lambda m, x: F.relu_(m.b(x)), 6),
    "concatenated with itself": (lambda m, x: torch.cat((x, x), 1)[:, 2:8], 6),
    "softmax gate": (lambda m, x: x * m.b(x).softmax(1), 6),
    "in place through a view": (lambda m, x: (m.b(x).view(2, 6, -1).relu_()).view(2, 6, 10, 10), 6),
}


@pytest.mark.parametrize("name", PROBES)
def test_probes_keep_the_output_and_their_freedom(name: str) -> None:
    probe, free = PROBES[name]
    module = Module(probe)
    plan = analyse(module, image())
    assert len(set(plan.sites[0].variables.tolist()) - {0}) == free
    assert all(
        (reason is None) == (v != 0)
        for s in plan.sites
        for reason, v in zip(s.reasons, s.variables, strict=True)
    )
    assert change(module, image()) < 1e-13


def test_mutation_seen_through_an_alias() -> None:
    def probe(m: Module, x: Tensor) -> Tensor:
        y: Tensor = m.b(x)
        view = y.view(-1)
        y.relu_()
        return y + view.view(y.shape)  # the view sees the rectified values

    module = Module(probe)
    assert change(module, image()) < 1e-13
    assert len(analyse(module, image().double()).sites) == 2


def test_tied_parameters_are_rescaled_under_both_names() -> None:
    module = Module(lambda m, x: m.d(F.relu(m.b(x))))
    module.d = nn.Conv2d(6, 6, 3, padding=1)
    module.d.weight = module.b.weight
    assert change(module, image()) < 1e-13


def test_the_reason_names_the_operator() -> None:
    plan = analyse(Module(PROBES["gelu"][0]), image())
    assert plan.sites[0].reasons[0] == "gelu is not homogeneous, or not known to be"


def test_training_mode_and_untraceable_modules_are_refused() -> None:
    with pytest.raises(NetworkError, match="eval"):
        analyse(chain().train(), image())
    branching = Module(lambda m, x: x if bool(x.sum() > 0) else -x)
    with pytest.raises(NetworkError, match="decides by the numbers it sees"):
        analyse(branching, image())


def test_an_input_that_is_too_small_is_said_to_be_without_a_traceback(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(NetworkError, match=r"input of 2 x 3 x 8 x 8: .*too small.*give batches of the size"):
        analyse(nn.Sequential(nn.MaxPool2d(9), nn.ReLU()).eval(), torch.zeros(2, 3, 8, 8))
    assert capfd.readouterr().err == ""


def test_dividing_without_compensating_is_noticed() -> None:
    """The test itself can fail: a plan that forgets what the next layer must absorb changes the output."""
    module = chain()
    plan = analyse(module, image())
    first = [a for a in plan.absorptions if a.name in {"0.weight", "0.bias"}]
    forgetful = Plan(plan.variables, plan.sites, tuple(first), plan.outputs, aliases=plan.aliases)
    assert change(module, image(), forgetful) > 1e-3
