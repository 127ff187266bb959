"""Modules with odd names, arguments, types and parts: normalised and proved, or refused in words."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import googlenet
from unit.graph.chains import chain, randomised
from unit.proving import proved

import unitmean
from unitmean.errors import NetworkError


class Masked(nn.Module):
    """Its arguments have the names of tensors of its own."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 3)
        self.x = nn.Parameter(torch.rand(5))
        self.register_buffer("mask", torch.tensor([0.0, 1, 1, 0, 1]))

    def forward(self, x: Tensor, mask: Tensor, first_weight: Tensor) -> Tensor:
        found: Tensor = self.last(self.first(x * mask * self.mask * first_weight + self.x).relu())
        return found


def test_an_argument_may_have_the_name_of_a_tensor() -> None:
    torch.manual_seed(0)
    model = Masked().eval()
    nn.init.constant_(model.first.bias, 1.0)  # all channels are active
    batch = (torch.randn(64, 5), (torch.rand(64, 5) > 0.5).float(), torch.rand(64, 5))
    result = proved(model, [(batch, None)])
    model.load_state_dict(result.state)
    x, mask, scale = batch
    means = model.first(x * mask * model.mask * scale + model.x).relu().mean(0).detach()
    torch.testing.assert_close(means, torch.ones(8))
    wrong = dict(result.state) | {"last.weight": result.state["last.weight"] * 2}
    assert not unitmean.verify(model, wrong, [(batch, None)])


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = chain()

    def forward(self, x: Any, scale: float = 1.0) -> Tensor:
        one, two = (x["a"], x["b"]) if isinstance(x, dict) else (x[0], x[1][0])
        found: Tensor = self.net(one + scale * two)
        return found


@pytest.mark.parametrize("of", [
    lambda a, b: ({"a": a, "b": b},),
    lambda a, b: ([a, (b,)],),
    lambda a, b: ([a, (b,)], 0.5),
])  # fmt: skip
def test_arguments_in_lists_and_dicts(of: Callable[[Tensor, Tensor], tuple[Any, ...]]) -> None:
    generator = torch.Generator().manual_seed(0)
    shown = [of(*torch.rand(2, images, 3, 12, 12, generator=generator)) for images in (4, 4, 2)]
    result = proved(Nested().eval(), [(x, None) for x in shown])
    assert all(site.variables.all() for site in result.plan.sites)


class Typed(nn.Module):
    """A number of another type comes first in its state dict."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("best", torch.zeros((), dtype=dtype))
        self.net = chain()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x)
        return found


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_the_type_is_that_of_the_parameters(dtype: torch.dtype) -> None:
    proved(Typed(dtype).eval(), [(torch.rand(4, 3, 12, 12), None)])


def test_the_input_may_be_rectified_in_place() -> None:
    class Activated(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            x = x + 0  # the test's own batches stay
            for part in self:
                x = part(x)
            return x

    parts = (nn.ReLU(inplace=True), nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Conv2d(8, 4, 3))
    x = torch.randn(4, 3, 12, 12)
    proved(Activated(*parts).eval(), [(x, None)], strict=False)
    kept, model = x.clone(), nn.Sequential(*parts).eval()
    result = unitmean.normalise(model, [x], strict=False)
    assert unitmean.verify(model, result.state, [x], result) and torch.equal(x, kept)


class Weighs(nn.Module):
    """Its second convolution's weights are computed from stored ones."""

    def __init__(self, weight: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)
        self.stored, self.weight = nn.Parameter(torch.randn(8, 8, 3, 3)), weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        found: Tensor = self.last(F.conv2d(x, self.weight(self.stored)).relu())
        return found


def by_var_mean(weight: Tensor) -> Tensor:
    variance, mean = torch.var_mean(weight, (1, 2, 3), keepdim=True)
    return (weight - mean) / (variance + 1e-5).sqrt()


@pytest.mark.parametrize("weight", [
    by_var_mean,
    lambda weight: weight.sort(0).values,
    lambda weight: weight.topk(8, 0).values,
    lambda weight: torch.linalg.qr(weight.flatten(1).T)[0].T.reshape(8, 8, 3, 3),
])  # fmt: skip
def test_weights_out_of_several_results(weight: Callable[[Tensor], Tensor]) -> None:
    model = randomised(Weighs(weight), 0)
    proved(model, [(torch.rand(4, 3, 12, 12), None)], strict=False)


class Between(nn.Module):
    def __init__(self, body: Callable[["Between", Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.other = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 4, 3)
        self.last, self.body = nn.Conv2d(8, 4, 1), body
        self.given = torch.zeros(0)

    def forward(self, x: Tensor) -> Tensor:
        self.given = self.other(x).relu()
        found: Tensor = self.last(self.body(self, self.first(x).relu()))
        return found


def half_written(module: Between, x: Tensor) -> Tensor:
    wide = torch.zeros_like(x)
    wide[:, :4] = module.given
    return x + wide


@pytest.mark.parametrize("body", [
    half_written,
    lambda module, x: x / (x.max().item() + 1) + module.given.mean(),
    lambda module, x: x * module.given.mean().item(),
])  # fmt: skip
def test_what_cannot_take_a_factor_keeps_its_own(body: Callable[[Between, Tensor], Tensor]) -> None:
    proved(Between(body).eval(), [(torch.rand(4, 3, 12, 12), None)], strict=False)


def test_zeros_that_are_written_into_tie_what_is_written() -> None:
    result = proved(Between(half_written).eval(), [(torch.rand(4, 3, 12, 12), None)])
    one, two = (site.variables for site in result.plan.sites)
    if len(one) < len(two):
        one, two = two, one
    assert torch.equal(one[:4], two) and len(one.unique()) == 8 and one.all()


class Stacked(nn.Module):
    """Layers whose weights lie in one parameter."""

    def __init__(self, body: Callable[["Stacked", Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 3)
        self.weights, self.biases = nn.Parameter(torch.randn(3, 8, 8)), nn.Parameter(torch.randn(3, 8))
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.body(self, self.first(x).relu()))
        return found


def one_after_another(module: Stacked, x: Tensor) -> Tensor:
    for weight, bias in zip(module.weights, module.biases, strict=True):
        x = F.linear(x, weight, bias).relu()
    return x


def side_by_side(module: Stacked, x: Tensor) -> Tensor:
    every = [F.linear(x, module.weights[i], module.biases[i]).relu() for i in range(3)]
    return torch.stack(every).sum(0)


def one_twice(module: Stacked, x: Tensor) -> Tensor:
    for i in (0, 1, 0):
        x = F.linear(x, module.weights[i], module.biases[i]).relu()
    return x


def turned(module: Stacked, x: Tensor) -> Tensor:
    x = F.linear(x, module.weights[0], module.biases[0]).relu()
    return F.linear(x, module.weights[1].T, module.biases[1]).relu()


@pytest.mark.parametrize(("body", "variables"), [
    (one_after_another, 32),
    (side_by_side, 16),
    (one_twice, 16),  # before and behind a layer that is used twice the factors are the same
    (turned, 3),  # what is by row for one slice and by column for another is one number for both
])  # fmt: skip
def test_slices_of_one_parameter_are_weights_of_their_own(
    body: Callable[[Stacked, Tensor], Tensor], variables: int
) -> None:
    torch.manual_seed(0)
    model = Stacked(body).eval()
    for bias in (model.first.bias, model.biases):
        nn.init.constant_(bias, 2.0)
    result = proved(model, [(torch.randn(64, 5), None)], max_relative_error=10.0)
    seen = torch.cat([site.variables for site in result.plan.sites])
    assert seen.all() and len(seen.unique()) == variables


class Supervised(nn.Module):
    """In training it returns more than in use."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.more = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3), nn.Conv2d(8, 4, 3)

    def forward(self, x: Tensor) -> Any:
        x = self.first(x).relu()
        return (self.last(x), self.more(x)) if self.training else self.last(x)


@pytest.mark.parametrize("outputs", ["preserve", "normalise"])
@pytest.mark.filterwarnings("ignore:not used for such a batch")
def test_heads_that_only_training_has(outputs: str) -> None:
    model, x = Supervised().eval(), torch.randn(4, 3, 8, 8)
    result = unitmean.normalise(model, [x], outputs=outputs)
    assert result.plan.output_names == ("output",) and unitmean.verify(model, result.state, [x], result)
    changed = Supervised().eval()
    changed.load_state_dict(result.state)
    changed.training = model.training = outputs == "preserve"
    for new, old in zip(changed(x), model(x), strict=True):
        torch.testing.assert_close(new, old)


class Clips(Supervised):
    """In use it clips what it does not clip in training."""

    def forward(self, x: Tensor) -> Any:
        x = self.first(x).relu()
        return (self.last(x), self.more(x)) if self.training else self.last(x.clamp(max=1e6))


class Selects(Supervised):
    """In training it returns as many numbers as are positive."""

    def forward(self, x: Tensor) -> Any:
        x = self.first(x).relu()
        return self.more(x)[self.more(x) > 0] if self.training else self.last(x)


class Sparse(Supervised):
    """In training it returns a sparse tensor."""

    def forward(self, x: Tensor) -> Any:
        x = self.first(x).relu()
        return self.more(x).to_sparse() if self.training else self.last(x)


class Either(Supervised):
    """In training it returns something else."""

    def forward(self, x: Tensor) -> Any:
        x = self.first(x).relu()
        return self.more(x) if self.training else self.last(x)


def test_what_it_computes_in_use_decides() -> None:
    x = torch.randn(4, 3, 8, 8)
    with pytest.raises(NetworkError, match="clamp clamps it"):
        unitmean.normalise(Clips().eval(), [x])
    for kind in (Selects, Sparse):
        with pytest.warns(UserWarning, match="more.weight, more.bias"):
            unitmean.normalise(kind().eval(), [x])
    model = Either().eval()
    result = proved(model, [(x, None)])
    head = result.state["more.weight"] / model.more.weight.detach()
    torch.testing.assert_close(head, (result.state["last.weight"] / model.last.weight.detach()))
    assert result.plan.sites[0].variables.all()


@pytest.mark.parametrize("write", [
    lambda self: self.gain.add_(1.0),
    lambda self: setattr(self, "gain", 0.9 * self.gain + 0.1),
])  # fmt: skip
def test_a_buffer_that_is_written_keeps_its_numbers(write: Callable[[Any], Any]) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 3)
            self.register_buffer("gain", torch.rand(8) + 1.0)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.last(self.first(x).relu() * self.gain)
            write(self)
            return found

    torch.manual_seed(0)
    model, x = Counting().eval(), torch.randn(64, 5)
    result = unitmean.normalise(model, [x])
    assert torch.equal(result.state["gain"], model.state_dict()["gain"])
    assert unitmean.verify(model, result.state, [x], result)
    changed = Counting().eval()
    changed.load_state_dict(result.state)
    for _ in range(3):
        torch.testing.assert_close(changed(x), model(x))


def test_a_rectified_number_of_the_whole_batch_is_no_site() -> None:
    class Margin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.last(self.first(x).relu())
            return y, (1 - y.mean()).relu()

    model, x = Margin().eval(), torch.randn(16, 5)
    result = unitmean.normalise(model, [x])
    assert [site.name for site in result.plan.sites] == ["relu"]
    assert unitmean.verify(model, result.state, [x], result)


@pytest.mark.slow
def test_googlenet_with_its_heads() -> None:
    torch.manual_seed(0)
    model = googlenet(weights=None, init_weights=False, aux_logits=True).eval()
    x = torch.randn(2, 3, 64, 64)
    result = unitmean.normalise(model, [x], strict=False)
    assert unitmean.verify(model, result.state, [x], result)


@pytest.mark.parametrize("name", ["code", "_graph", "self", "for", "None", 'x"y', "a\\b"])
def test_names_that_a_graph_cannot_have_are_told(name: str) -> None:
    model = nn.Sequential()
    for part, layer in (("one", nn.Conv2d(3, 8, 3)), ("relu", nn.ReLU()), (name, nn.Conv2d(8, 4, 3))):
        model.add_module(part, layer)
    with pytest.raises(NetworkError, match="must have names that torch.fx can use; found ") as caught:
        unitmean.normalise(model.eval(), [torch.rand(2, 3, 8, 8)])
    assert repr(name) in str(caught.value)


def test_spectral_norm_of_old_after_a_call_with_gradients() -> None:
    layer = nn.utils.spectral_norm(nn.Conv2d(3, 8, 3))
    model, x = nn.Sequential(layer, nn.ReLU(), nn.Conv2d(8, 4, 3)), torch.rand(4, 3, 12, 12)
    model(x)
    model.eval()
    result = unitmean.normalise(model, [x], strict=False)
    assert unitmean.verify(model, result.state, [x], result)


def test_autocast_around_the_call_changes_nothing() -> None:
    x = torch.rand(4, 3, 12, 12)
    plain = unitmean.normalise(chain(), [x])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = unitmean.normalise(chain(), [x])
        proof = unitmean.verify(chain(), result.state, [x], result)
    assert torch.equal(result.factors, plain.factors) and proof


def test_activations_whose_squares_overflow_are_told() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()
    with torch.no_grad():
        model.get_parameter("0.weight").mul_(1e20)
    with pytest.raises(unitmean.UnitmeanError, match=r"which float32 holds up to 1.8e\+19"):
        unitmean.normalise(model, [torch.rand(2, 3, 8, 8)])
    assert unitmean.normalise(model.double(), [torch.rand(2, 3, 8, 8)])
