"""The graph that is followed must return what the module itself returns, which must stay as it was."""

import random
import warnings
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from unit.graph.chains import chain, randomised

import unitmean
from unitmean.errors import NetworkError
from unitmean.graph import mutation
from unitmean.graph.alike import require_as_called
from unitmean.graph.plan import Plan


class WritesIntoAView(nn.Module):
    """torch.export drops the addition: of one tensor einsum returns a view, which its schema doesn't say."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)
        self.bias = nn.Parameter(torch.randn(8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        turned = torch.einsum("nchw->nhwc", x)
        turned += self.bias
        found: Tensor = self.last(x)
        return found


@pytest.mark.parametrize("known", [True, False])
def test_a_graph_that_computes_something_else_is_refused(
    known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what is known of the operator or, for others, by what the module returns."""
    words = "shares its memory with what einsum returns, .*; found add_ in the forward method"
    if not known:
        monkeypatch.setattr(mutation, "_is_hidden", lambda node: False)
        words = "its graph returns another output than the network itself, .*: write it without in-place"
    model, x = randomised(WritesIntoAView(), 0), torch.randn(4, 3, 8, 8)
    with pytest.raises(NetworkError, match=words):
        unitmean.normalise(model, [x], strict=False)
    with pytest.raises(NetworkError, match=words):
        unitmean.verify(model, model.state_dict(), [x])
    with pytest.raises(NetworkError, match=words):
        unitmean.measure(model, [x], unitmean.analyse(model, x))


class Clips(nn.Module):
    """It writes into what some operator makes of its activations, which changes large ones alone."""

    def __init__(self, turned: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.turned = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1), turned

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        self.turned(x).clamp_(max=2.0)
        found: Tensor = self.last(x)
        return found


@pytest.mark.parametrize("turned", [
    lambda x: torch.einsum("nchw->nhwc", x),
    lambda x: x.unsafe_chunk(2, 1)[0],
    lambda x: x.unsafe_split(4, 1)[1],
    lambda x: torch.ops.aten._unsafe_view(x, x.shape),
])  # fmt: skip
def test_writing_through_a_view_that_torch_does_not_know_is_refused(
    turned: Callable[[Tensor], Tensor],
) -> None:
    model, x = Clips(turned).eval(), torch.cat((torch.rand(2, 3, 8, 8) * 0.1, torch.randn(6, 3, 8, 8) * 9))
    with pytest.raises(NetworkError, match="shares its memory with what .* returns"):
        unitmean.normalise(model, [x], strict=False)


def test_every_image_of_a_batch_is_compared_with_what_the_module_returns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mutation, "_is_hidden", lambda node: False)
    model = Clips(lambda x: torch.einsum("nchw->nhwc", x)).eval()
    x = torch.cat((torch.rand(2, 3, 8, 8) * 0.1, torch.randn(6, 3, 8, 8) * 9))
    unitmean.verify(model, model.state_dict(), [x[:2]])
    with pytest.raises(NetworkError, match="another output than the network itself"):
        unitmean.verify(model, model.state_dict(), [x])


@cache
def window(size: int) -> Tensor:
    return torch.linspace(0.5, 1, size)


class Cached(nn.Module):
    """Numbers that are kept outside of it, and a buffer that it writes into."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)
        self.register_buffer("calls", torch.zeros(1))
        self.shown: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        x = self.first(x).relu() * window(x.shape[-1] - 2)
        self.shown.append(x)
        found: Tensor = self.last(x)
        return found


def test_what_code_keeps_elsewhere_has_numbers_afterwards() -> None:
    window.cache_clear()
    model, x = randomised(Cached(), 0), torch.randn(4, 3, 9, 9)
    calls = float(model.calls)
    result = unitmean.normalise(model, [x, torch.randn(4, 3, 12, 12)])
    assert not isinstance(window(7), FakeTensor) and not isinstance(window(10), FakeTensor)
    assert model.calls == calls and not model.shown
    before = model(x)
    model.load_state_dict(result.state)
    torch.testing.assert_close(model(x), before)


class Writes(nn.Module):
    """It writes into its parameters, as nn.Embedding with a largest norm does, or into a plain tensor."""

    def __init__(self, plain: bool) -> None:
        super().__init__()
        self.writes_plain = plain
        self.rows, self.first, self.last = nn.Embedding(9, 6, max_norm=0.5), nn.Linear(6, 8), nn.Linear(8, 3)
        self.plain = torch.zeros(1)

    def forward(self, x: Tensor) -> Tensor:
        if self.writes_plain:
            self.plain.add_(1)
        with torch.no_grad():
            self.last.weight.clamp_(-0.1, 0.1)
        found: Tensor = self.last(self.first(self.rows(x)).relu())
        return found


@pytest.mark.filterwarnings("ignore:nothing is normalised")
@pytest.mark.parametrize("plain", [False, True])
def test_what_is_written_in_a_call_leaves_the_model_as_it_was(plain: bool) -> None:
    torch.manual_seed(0)
    model, x = Writes(plain).eval(), torch.randint(0, 9, (8, 4))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(NetworkError, match="register it as buffer") if plain else nullcontext():
        result = unitmean.normalise(model, [x], strict=False)
        unitmean.verify(model, result.state, [x], result)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.plain == 0 and all(parameter.requires_grad for parameter in model.parameters())


class Keeps(nn.Module):
    """It keeps activations in all that can hold some, and draws Python's and numpy's random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.net = chain()
        self.kept = (OrderedDict[str, Tensor](), defaultdict[str, list[Tensor]](list), deque[Tensor]())
        self.ordered, self.default, self.last = self.kept

    def forward(self, x: Tensor) -> Tensor:
        self.ordered["x"] = x
        self.default["x"].append(x)
        self.last.append(x)
        random.random()
        np.random.random()
        found: Tensor = self.net(x)
        return found


def test_nothing_is_kept_and_random_numbers_go_on() -> None:
    model, x = Keeps().eval(), torch.rand(4, 3, 12, 12)
    np.random.seed(0)
    wanted = np.random.random()
    np.random.seed(0)
    with pytest.warns(UserWarning, match="random numbers of Python or numpy.* changed nothing, 4 times"):
        result = unitmean.normalise(model, [x])
        assert unitmean.verify(model, result.state, [x], result)
    assert not any(model.kept) and np.random.random() == wanted


class OnlyTraced(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = chain()

    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_exporting():
            raise ValueError("it fails")
        found: Tensor = self.net(x)
        return found


def test_a_module_that_fails_where_its_graph_does_not_is_refused() -> None:
    with pytest.raises(NetworkError, match="must take the input that it is given; found, .*: it fails; call"):
        unitmean.normalise(OnlyTraced().eval(), [torch.rand(4, 3, 12, 12)])


class Branches(nn.Module):
    """A layer more for large images."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.more = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        if x.shape[-1] > 9:
            x = self.more(x).relu()
        found: Tensor = self.last(x)
        return found


def test_tensors_that_are_not_used_are_told_of() -> None:
    model = randomised(Branches(), 0)
    with pytest.warns(UserWarning, match="not used for such a batch, .*: more.weight, more.bias; where"):
        unitmean.normalise(model, [torch.randn(4, 3, 8, 8)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unitmean.normalise(model, [torch.randn(4, 3, 16, 16)])


@pytest.mark.parametrize(("own", "found", "coarse", "same"), [
    ([1.0, 2.0], [1.0, 2.0002], False, True),
    ([1.0, 2.0], [1.0, 2.002], False, False),
    ([1.0, 2.0], [1.0, 2.1], True, True),
    ([1.0, 2.0], [1.0, 2.5], True, False),
    ([1.0, torch.nan, torch.inf], [1.0, torch.nan, torch.inf], False, True),
    ([1.0, torch.nan], [1.0, 0.0], False, False),
    ([1.0, torch.inf], [1.0, -torch.inf], False, False),
    ([1, 2], [1, 2], False, True),
    ([1, 2], [1, 3], False, False),
    ([1, 2], [1, 3], True, True),
    ([1.0, 2.0], [1, 2], False, False),
    ([1.0, 2.0], [1.0], True, False),
    ([1.0 + 2j], [1.0 + 2j], False, True),
    ([1.0 + 2j], [1.0 - 2j], False, False),
    ([], [], False, True),
])  # fmt: skip
def test_what_counts_as_the_same(own: list[complex], found: list[complex], coarse: bool, same: bool) -> None:
    found_here = {"output": torch.tensor(found)}
    with nullcontext() if same else pytest.raises(NetworkError):
        require_as_called(found_here, {"output": torch.tensor(own)}, coarse=coarse)
    for other in (None, torch.tensor(own)[None]):
        with pytest.raises(NetworkError):
            require_as_called(found_here, {"output": other}, coarse=coarse)


class ByImage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.last(self.first(image).relu()) for image in x])


class Transposed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.first(x).T.relu().T)
        return found


@pytest.mark.parametrize(("model", "of", "shape"), [
    (ByImage(), (2, 3, 5, 5), "8 x 3 x 3"),
    (Transposed(), (16, 5), "8 x 16"),
])  # fmt: skip
def test_channels_along_the_first_dimension_are_told(
    model: nn.Module, of: tuple[int, ...], shape: str
) -> None:
    with pytest.raises(NetworkError, match=f"of shape {shape}: let the forward method take all images"):
        unitmean.normalise(model.eval(), [torch.randn(of)])


def test_a_number_an_image_is_one_channel() -> None:
    class Regression(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 1)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.last(self.first(x).relu())[:, 0].relu()
            return found

    torch.manual_seed(0)
    model, batches = Regression().eval(), [torch.randn(images, 5) for images in (16, 16, 3, 1)]
    for statistic in ("mean", "quantile"):
        result = unitmean.normalise(model, batches, statistic=statistic, outputs="normalise")
        assert unitmean.verify(model, result.state, batches, result)
        (ids,) = result.plan.outputs
        factor = result.factors[ids]
        before = torch.cat([model(x).detach() for x in batches])
        changed = Regression().eval()
        changed.load_state_dict(result.state)
        torch.testing.assert_close(torch.cat([changed(x) for x in batches]) * factor.float(), before)
        if statistic == "mean":
            torch.testing.assert_close(float(before.mean()), float(factor))


def plan_of(forward: str) -> Plan:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)
            self.register_buffer("keep", torch.arange(8) < 4)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = eval(forward, {"torch": torch}, {"self": self, "x": self.first(x).relu()})
            return found

    return unitmean.analyse(Net().eval(), torch.randn(4, 3, 8, 8))


@pytest.mark.parametrize(("forward", "words"), [
    ("x.nonzero()", "nonzero in the forward method returns depends on numbers"),
    ("x[x > 0]", "index in the forward method"),
    ("x.repeat_interleave((x[0, :, 0, 0] > 0).long(), 1)", "repeat_interleave in the forward method"),
    ("self.last(x).to_sparse()", "tensors must be dense; found that to_sparse"),
])  # fmt: skip
def test_sizes_that_depend_on_numbers_are_told(forward: str, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        plan_of(forward)


@pytest.mark.parametrize(("forward", "expected"), [
    ("x[:, self.keep]", 4),
    ("x.repeat_interleave(torch.tensor([0] * 4 + [1] * 4), 1)", 4),
    ("x.repeat_interleave(self.keep.long(), 1, output_size=4)", 4),
    ("torch.nn.functional.conv2d(x[:, self.keep], self.last.weight[:, self.keep])", 8),
    ("torch.nn.functional.conv2d(x, self.last.weight[:, self.keep.nonzero()[:, 0]].repeat(1, 2, 1, 1))", 8),
])  # fmt: skip
def test_sizes_that_follow_from_stored_numbers(forward: str, expected: int) -> None:
    assert int((plan_of(forward).sites[0].variables > 0).sum()) == expected


def test_an_output_in_which_images_and_channels_share_a_dimension() -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = chain()

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            x = self.net[1](self.net[0](x))
            return x.flatten(0, 1), self.net[2:](x)

    model, x = Flat().eval(), torch.randn(6, 3, 12, 12)
    result = unitmean.normalise(model, [x], strict=False)
    assert result and unitmean.verify(model, result.state, [x, x[:3]], result)


def test_a_layer_without_channels() -> None:
    class Empty(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last, self.none = nn.Linear(5, 8), nn.Linear(8, 3), nn.Linear(8, 0)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x).relu()
            return torch.cat([self.last(x), self.none(x)], 1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of initialising nothing
        model = Empty().eval()
    x = torch.randn(16, 5)
    result = unitmean.normalise(model, [x])
    assert unitmean.verify(model, result.state, [x], result)


@pytest.mark.parametrize("made", [torch.sqrt, torch.log])
def test_nan_where_the_original_has_it(made: Callable[[Tensor], Tensor]) -> None:
    class Undefined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 6)

        def forward(self, x: Tensor) -> Tensor:
            return made(self.last(self.first(x).relu()))

    torch.manual_seed(0)
    model, x = Undefined().eval(), torch.randn(64, 5)
    result = unitmean.normalise(model, [x])
    assert model(x).isnan().any() and unitmean.verify(model, result.state, [x], result)
    other = {name: tensor - float(name == "last.bias") for name, tensor in result.state.items()}
    proof = unitmean.verify(model, other, [x])
    assert not proof and "NaN only where the original does" in proof.failures[0]


class Draws(nn.Module):
    """It leaves a layer out for some of the numbers of Python or numpy."""

    def __init__(self, draw: Callable[[], float]) -> None:
        super().__init__()
        self.first, self.more, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1)
        self.draw = draw

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        found: Tensor = self.last(self.more(x).relu() if self.draw() < 0.5 else x)
        return found


class Remembers(nn.Module):
    """It adds what the call before gave, which it keeps in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.more, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1)
        self.before: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        y = self.more(x).relu()
        y, self.before = y if self.before is None else y + self.before, x
        found: Tensor = self.last(y)
        return found


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Draws(random.random), "draws random numbers of Python or numpy"),
        (Draws(np.random.random), "draws random numbers of Python or numpy"),
        (Remembers(), "keeps something between calls"),
    ],
)
def test_a_module_that_returns_something_else_when_called_again_is_refused(
    model: nn.Module, words: str
) -> None:
    with pytest.raises(NetworkError, match=f"another call returns something else, as it {words}"):
        unitmean.normalise(model.eval(), [torch.rand(4, 3, 12, 12)])
    assert not isinstance(model, Remembers) or model.before is None


class OtherGraph(nn.Module):
    """torch.export is shown another network; dropout draws nothing in eval mode."""

    def __init__(self, between: nn.Module) -> None:
        super().__init__()
        self.first, self.more, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        if not torch.compiler.is_exporting():
            x = self.more(x).relu()
        found: Tensor = self.last(self.between(x))
        return found


@pytest.mark.parametrize("between", [nn.Identity(), nn.Dropout(), nn.AlphaDropout(), nn.Dropout2d()])
def test_dropout_in_eval_mode_leaves_the_comparison_on(between: nn.Module) -> None:
    with pytest.raises(NetworkError, match="its graph returns another output"):
        unitmean.normalise(OtherGraph(between).eval(), [torch.rand(4, 3, 12, 12)])


def test_the_callers_autocast_disturbs_nothing() -> None:
    model, x = chain().eval(), torch.rand(4, 3, 12, 12)
    with torch.autocast("cpu", torch.bfloat16):
        result = unitmean.normalise(model, [x])
        assert unitmean.verify(model, result.state, [x], result)
    plain = unitmean.normalise(model, [x])
    assert all(torch.equal(result.state[name], plain.state[name]) for name in plain.state)


def test_a_result_shares_no_memory_with_the_model() -> None:
    """Training the model afterwards must not change the weights that were proved."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    result = unitmean.normalise(model, [torch.rand(4, 3, 12, 12)])
    before = {name: tensor.clone() for name, tensor in result.state.items()}
    for tensor in model.state_dict().values():
        tensor.add_(1)
    assert all(torch.equal(result.state[name], before[name]) for name in before)


class Hooked(nn.Module):
    """It registers a hook at its first call and notes that it did, as Hugging Face's models do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = chain()
        self._hooked, self._seen = False, list[Tensor]()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if not self._hooked:
            self.body.register_forward_hook(lambda *given: self._seen.append(given[2]))
            self._hooked = True
        self._seen.clear()
        return self.body(x), *self._seen


def test_hooks_that_a_first_call_registers_are_undone() -> None:
    model, x = Hooked().eval(), torch.rand(4, 3, 12, 12)
    result = unitmean.normalise(model, [x])
    assert unitmean.verify(model, result.state, [x], result)
    assert not model.body._forward_hooks and not model._seen and not model._hooked
    assert len(model(x)) == len(model(x)) == len(result.plan.output_names) + 1 == 2
