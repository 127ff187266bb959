"""normalise and verify follow whatever network they are given, and refuse what they can't follow."""

import warnings
from collections import UserDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.optim.swa_utils import AveragedModel
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor
from unit.graph.chains import chain

import unitmean
from unitmean.api import Normalised
from unitmean.errors import DataError, InvarianceError, NetworkError, WeightsError
from unitmean.graph.loaded import as_loaded
from unitmean.graph.plan import Plan


def images(n: int = 6, size: int = 12) -> Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def body() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()


class Of(nn.Module):
    """A network's body behind a forward method of one's own."""

    def __init__(self, forward: Any, inner: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self._forward = inner or body(), forward

    def forward(self, *given: Any) -> Any:
        return self._forward(self, *given)


def followed(model: nn.Module, batches: list[Any], **settings: Any) -> Normalised:
    """The network's result, once all that is promised of it has been seen."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    result = unitmean.normalise(model, batches, **settings)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert list(result.state) == list(before)
    assert any(not torch.equal(before[name], tensor) for name, tensor in result.state.items())
    assert unitmean.verify(model, result.state, batches, result)
    preserved = settings.get("outputs") != "normalise"  # else they are divided
    assert bool(unitmean.verify(model, result.state, batches)) == preserved
    name = next(name for name, tensor in result.state.items() if tensor.ndim > 1)
    wrong = result.state | {name: result.state[name] * 3}
    assert not unitmean.verify(model, wrong, batches, result)
    assert not unitmean.verify(model, wrong, batches)
    return result


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_types(dtype: torch.dtype) -> None:
    model = body().to(dtype)
    result = followed(model, [images().to(dtype)] * 2)
    assert all(tensor.dtype == dtype for tensor in result.state.values())
    # Measured in float32: half precision's own sums would be off by per cents.
    exact = unitmean.measure(body(), [images().to(dtype).float()] * 2, result.plan)
    for site, moments in result.statistics.items():
        torch.testing.assert_close(moments.mean, exact[site].mean, rtol=3e-2, atol=0)


def test_bytes_and_words_as_inputs() -> None:
    pixels = torch.randint(0, 256, (4, 3, 12, 12), dtype=torch.uint8)
    followed(Of(lambda m, x: m.body(x.float() / 255)).eval(), [pixels] * 2)
    words = nn.Sequential(nn.Embedding(7, 6), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)).eval()
    followed(words, [torch.randint(0, 7, (4, 9))] * 2)


RETURNED = {
    "list": (lambda m, x: [m.body[:2](x), m.body(x)], ["output[0]", "output[1]"]),
    "dict": (lambda m, x: {"a": m.body(x), "b": (m.body(x).mean(), 3)}, ["output['a']", "output['b'][0]"]),
    "scalar": (lambda m, x: m.body(x).square().mean(), ["output"]),
    "places": (lambda m, x: m.body(x).flatten(1).topk(3), ["output[0]", "output[1]"]),
}


@pytest.mark.parametrize("name", RETURNED)
def test_all_that_is_returned_is_compared(name: str) -> None:
    forward, places = RETURNED[name]
    outputs = "normalise" if name == "list" else "preserve"
    result = followed(Of(forward).eval(), [images()] * 2, outputs=outputs)
    proof = unitmean.verify(Of(forward).eval(), result.state, [images()])
    assert list(proof.deviations) == places


def test_a_wrong_head_of_several_is_named() -> None:
    model = Of(lambda m, x: {"a": m.body(x), "b": m.body[2](m.body[:2](x)) * 2}).eval()
    assert isinstance(model.body, nn.Sequential)
    model.body.append(nn.Identity())
    result = unitmean.normalise(model, [images()])
    proof = unitmean.verify(
        model, dict(result.state) | {"body.2.bias": result.state["body.2.bias"] + 1}, [images()]
    )
    assert len(proof.failures) == 4 and "output['a']" in proof.failures[0]


WRAPPED: dict[str, Callable[[nn.Module], Any]] = {
    "any arguments": lambda m: Of(lambda s, *given: s.body(*given), m),
    "data parallel": nn.DataParallel,
    "compiled": torch.compile,
    "moving average": lambda m: AveragedModel(m),
    "compiled in parallel": lambda m: torch.compile(nn.DataParallel(m)),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_what_training_puts_around_a_network(name: str) -> None:
    model = WRAPPED[name](body())
    model.eval()
    result = followed(model, [images()] * 2)
    expected = body()(images())
    model.load_state_dict(result.state)
    plain = model.module if isinstance(model, nn.DataParallel) else getattr(model, "_orig_mod", model)
    device = next(plain.parameters()).device  # DataParallel puts it on a GPU where there is one
    torch.testing.assert_close(plain(images().to(device)).cpu(), expected, rtol=1e-4, atol=1e-5)


def test_several_arguments() -> None:
    model = Of(lambda m, x, y: m.body(x + y)).eval()
    plan = unitmean.analyse(model, (images(2), images(2)))
    assert plan.free.sum() == 8
    followed(model, [((images(), images()), "label")] * 2)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_arguments_by_name() -> None:
    """Batches of dicts, as Hugging Face's loaders give them."""

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body()

        def forward(self, x: Tensor, mask: Tensor | None = None, scale: float = 2.0) -> Tensor:
            found: Tensor = self.body(x if mask is None else x * mask) * scale
            return found

    model, mask = Masked().eval(), images(6) > 0.5
    by_name = followed(model, [{"mask": mask, "x": images()}, {"scale": 3.0, "x": images()}])
    by_place = followed(model, [((images(), mask),), ((images(), None, 3.0),)])
    assert torch.equal(by_name.factors, by_place.factors)
    batch = UserDict(x=images())  # what transformers' tokenizers return is one
    for wrapped in (model, nn.DataParallel(model)):
        assert unitmean.analyse(wrapped, batch).free.sum() == 8
    for found in ({"image": images()}, {"mask": mask}, {}):
        with pytest.raises(DataError, match=r"are 'x', 'mask', 'scale'; found .*leave others out"):
            unitmean.normalise(model, [found])
    for unnamed in (Of(lambda m, x: m.body(x)).eval(), torch.jit.trace(body(), images())):
        with pytest.raises(DataError, match="which are not named; found 'x'"):
            unitmean.analyse(unnamed, {"x": images()})


def test_arguments_that_go_by_name_alone() -> None:
    class Alone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body()

        def forward(
            self, x: Tensor, add: Tensor | None = None, *, mask: Tensor, scale: float = 2.0
        ) -> Tensor:
            found: Tensor = self.body(x * mask) * scale
            return found if add is None else found + add

    class Others(Alone):
        def forward(self, x: Tensor, **others: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
            return {"y": super().forward(x, mask=others["mask"]), "seen": others["more"]}

    masks = {n: (images(n, 12) > 0.5).float() for n in (6, 5)}

    class PlaceAlone(Of):
        def forward(self, x: Tensor, /, mask: Tensor) -> Any:
            return super().forward(x, mask)

    model = Alone().eval()
    result = followed(
        model,
        [
            {"scale": 3.0, "mask": mask, "x": images(n), "add": mask[:, :1, :8, :8]}
            for n, mask in masks.items()
        ],
    )
    by_place = followed(
        Of(lambda m, x, mask: m.body(x * mask)).eval(), [((images(6), masks[6]),), ((images(5), masks[5]),)]
    )
    assert torch.equal(result.factors, by_place.factors)
    followed(model, [{"mask": images(4, size), "x": images(4, size)} for size in range(12, 17)])  # any sizes
    followed(Others().eval(), [{"more": mask, "mask": mask, "x": images(n)} for n, mask in masks.items()])
    by_place_alone = PlaceAlone(lambda m, x, mask: m.body(x * mask)).eval()
    with pytest.raises(DataError, match="are 'x', 'mask'; found 'mask': leave others out"):
        unitmean.normalise(by_place_alone, [{"mask": masks[6]}])
    with pytest.raises(DataError, match="are 'x', 'add', 'mask', 'scale'; found 'x': leave others out"):
        unitmean.normalise(model, [{"x": images()}])
    with pytest.raises(DataError, match="are 'x', 'add', 'mask', 'scale'; found .*'other'"):
        unitmean.normalise(model, [{"x": images(), "mask": masks[6], "other": 1}])


def test_a_network_that_makes_rounding_grow() -> None:
    """In float64, too, where it is allowed as much more as float32 errs, until nothing is left to compare."""
    mild, wild = (Of(lambda m, x, by=by: torch.sin(by * m.body(x))).eval() for by in (1e5, 1e12))
    result = unitmean.normalise(mild, [images()] * 2)
    proof = unitmean.verify(mild, result.state, [images()], result)
    deviation = proof.deviations["output"]
    assert proof and 1e-12 < deviation.float64 < 1e-9 and deviation.float32_error < 0.05
    with pytest.raises(InvarianceError, match=r"makes rounding grow, float32's own to \d+% of its values"):
        unitmean.normalise(wild, [images()] * 2)


def test_a_channel_too_weak_for_float32_counts_as_dead() -> None:
    """Weights divided by so small a mean would be infinite."""
    model = body()
    for name in ("0.weight", "0.bias"):
        weights = model.state_dict()[name]
        weights[0], weights[1] = 1e-39, 1e-15  # the first is a subnormal number
    result = followed(model, [images()] * 2)
    assert result.dead == {"1": [0]} and result.factors[1:].min() > 1e-16


def test_a_fixed_number_of_images() -> None:
    model = Of(lambda m, x: m.body(x).reshape(6, -1)).eval()
    followed(model, [images()] * 2)
    with pytest.raises(NetworkError, match="give batches of the size"):
        unitmean.normalise(model, [images(5)])


def test_one_of_several_arguments_that_fixes_its_number_of_images() -> None:
    model = Of(lambda m, x, y: m.body(x) * y.view(6, 1, 1, 1)).eval()
    followed(model, [((images(), torch.ones(6)), "label")] * 2)


def test_images_of_several_sizes() -> None:
    followed(body(), [images(), images(3, 20)])


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_network_that_keeps_its_activations_keeps_none_without_numbers() -> None:
    def keep(m: Any, x: Tensor) -> Tensor:
        m.last = m.body[:2](x)
        m.all.append(m.last)
        found: Tensor = m.body[2](m.last)
        return found

    model: Any = Of(keep).eval()
    model.all = []
    followed(model, [images()] * 2)
    assert model.all == [] and not hasattr(model, "last")
    hooked = nn.Sequential(nn.utils.weight_norm(nn.Conv2d(3, 4, 3)), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    followed(hooked, [images()])
    assert not isinstance(hooked[0].weight, FakeTensor)


def test_a_network_that_writes_into_its_input() -> None:
    batch = images()
    followed(Of(lambda m, x: m.body(x.sub_(0.5))).eval(), [batch] * 2)
    assert torch.equal(batch, images())


def test_a_feature_extractor_and_a_buffer_outside_the_state_dict() -> None:
    network = models.squeezenet1_1(weights=None).eval()
    followed(create_feature_extractor(network, ["features.3"]).eval(), [images(2, 64)])
    model = Of(lambda m, x: m.body(nn.functional.conv2d(x, m.blur, groups=3))).eval()
    model.register_buffer("blur", torch.ones(3, 1, 3, 3) / 9, persistent=False)
    followed(model, [images()])


def test_randomness_is_the_same_for_all_weights() -> None:
    followed(Of(lambda m, x: m.body(x + torch.rand_like(x))).eval(), [images()] * 2)


def test_nan_and_infinity_are_refused_by_name() -> None:
    bad = images()
    bad[2, 0, 5, 5] = torch.nan
    with pytest.raises(DataError, match="NaN or infinities in batch 1 "):
        unitmean.normalise(body(), [images(), bad])
    bad[2, 0, 5, 5] = -torch.inf  # of which a rectifier may make zeros
    with pytest.raises(DataError, match="NaN or infinities in batch 0 "):
        unitmean.normalise(body(), [bad])
    model = body()
    with torch.no_grad():
        model.get_parameter("2.weight")[0, 0, 0, 0] = torch.inf
    with pytest.raises(WeightsError, match="found 1 NaN or infinite numbers of 288 in '2.weight'"):
        unitmean.normalise(model, [images()])
    with pytest.raises(DataError, match="at 1 in batch 0 .*overflow"):
        unitmean.normalise(body(), [images() * 1e30])
    masked = Of(lambda m, x: m.body(x.masked_fill(m.mask < 0, 0.0))).eval()
    masked.register_buffer("mask", torch.full((12,), -torch.inf).index_fill(0, torch.arange(9), 1.0))
    followed(masked, [images()])


def test_a_negative_mean_is_no_dead_channel() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.2), nn.Conv2d(4, 2, 1)).eval()
    with torch.no_grad():
        model.get_parameter("0.bias").copy_(torch.tensor([2.0, -5.0, 2.0, 2.0]))
    result = followed(model, [images()] * 2)
    assert result.negative == {"1": [1]} and result.dead.get("1", []) == []
    by_square = followed(model, [images()] * 2, statistic="rms")
    assert by_square.negative == {} and by_square.factors[by_square.plan.sites[0].variables[1]] != 1


def test_a_target_ends_measuring_and_a_result_shows_itself() -> None:
    batches = images(60).split(6)
    everything = unitmean.normalise(body(), batches)
    early = unitmean.normalise(body(), batches, target_standard_error=0.5)
    assert next(iter(early.statistics.values())).images < 60
    assert next(iter(everything.statistics.values())).images == 60
    text = repr(everything)
    assert "rectifier" in text and "tensor(" not in text and len(text.splitlines()) == 3


def test_shared_channels_are_listed() -> None:
    model = Of(lambda m, x: m.body[2](m.body[:2](x) + m.body[:2](x.flip(3)).flip(1))).eval()
    result = followed(model, [images()])
    assert set(result.tied) == {site.name for site in result.plan.sites}


def test_wrong_weights_never_leave_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Plan.rescale

    def wrong(self: Plan, factors: Tensor, state: Any = None, **more: Any) -> dict[str, Tensor]:
        new = right(self, factors, state, **more)
        return new if state is not None else new | {"2.weight": new["2.weight"] * 2}

    monkeypatch.setattr(Plan, "rescale", wrong)
    with pytest.raises(InvarianceError, match=r"(?s)must compute what the old ones do.*2\.weight"):
        unitmean.normalise(body(), [images()])


def test_weights_are_compared_as_they_are_loaded() -> None:
    model = chain()
    shared = torch.arange(6.0)
    model.register_parameter("one", nn.Parameter(shared))
    model.register_parameter("other", nn.Parameter(shared[2:4]))
    state = dict(model.state_dict()) | {"other": torch.tensor([10.0, 20.0])}
    loaded = as_loaded(model, state)
    model.load_state_dict(state)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in model.state_dict().items())
    with pytest.raises(WeightsError, match="only one of both has 'one'"):
        as_loaded(model, {name: tensor for name, tensor in state.items() if name != "one"})
    with pytest.raises(WeightsError, match="'one' must have the model's shape"):
        as_loaded(model, state | {"one": torch.zeros(3)})


def test_nothing_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    branching = Of(lambda m, x: m.body(x) if x.sum() > 0 else x).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(NetworkError, match="decides by the numbers it sees"):
            unitmean.normalise(branching, [images()])
    assert capfd.readouterr().err == ""
