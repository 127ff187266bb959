"""Weights and networks of which nobody may be told that they compute the same: each was once called so."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import unitmean
from unitmean.errors import InvarianceError, NetworkError

X = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Forward = Callable[["Net", Tensor], Any]


class Net(nn.Module):
    """A convolution, a rectifier, and two heads that `forward` makes something of."""

    mask: Tensor
    stamp: Tensor

    def __init__(self, head: Forward) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3)
        self.a, self.b = nn.Linear(8, 4), nn.Linear(8, 4)
        self.register_buffer("mask", torch.tensor([0.0, 0.0, -torch.inf, -torch.inf]))
        self.register_buffer("stamp", torch.ones(1, dtype=torch.bfloat16))
        self.head = head
        self.eval()

    def forward(self, x: Tensor, *arguments: Any) -> Any:
        return self.head(self, self.first(x).relu().mean((2, 3)), *arguments)


def changed(model: nn.Module, **changes: Tensor) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()} | {
        name.replace("__", "."): tensor for name, tensor in changes.items()
    }


@pytest.mark.parametrize(("head", "changes"), [
    (lambda net, h: net.a(h) + net.mask, {"mask": torch.zeros(4)}),
    (lambda net, h: {"spectrum": torch.complex(net.a(h), net.b(h))}, {"b__weight": torch.zeros(4, 8)}),
    (lambda net, h: net.a(h), {"a__weight": torch.ones(4, 8), "stamp": torch.zeros(1, dtype=torch.bfloat16)}),
    (lambda net, h: {"boxes": net.a(h)[:0]}, {"a__weight": torch.zeros(4, 8)}),
    (lambda net, h, number: (net.b if number else net.a)(h), {"b__weight": torch.zeros(4, 8)}),
    (lambda net, h: (net.b if len(h) > 4 else net.a)(h), {"b__weight": torch.zeros(4, 8)}),
    (lambda net, h: (net.b if len(h) == 1 else net.a)(h), {"b__weight": torch.zeros(4, 8)}),
    (lambda net, h: (net.b if len(h) % 2 else net.a)(h), {"b__weight": torch.zeros(4, 8)}),
], ids=["infinite mask", "imaginary part", "unread coarse type", "no numbers", "argument", "many images",
        "one image", "odd number"])  # fmt: skip
def test_other_weights(head: Forward, changes: dict[str, Tensor], request: pytest.FixtureRequest) -> None:
    model = Net(head)
    batches = [X, X.repeat(2, 1, 1, 1), X[:1], X[:3]]
    shown: list[Any] = (
        [((x, flag),) for x in batches for flag in (0, 1)] if "argument" in request.node.name else batches
    )
    assert not unitmean.verify(model, changed(model, **changes), shown)
    if "no numbers" not in request.node.name:
        assert unitmean.verify(model, model.state_dict(), shown)


@pytest.mark.parametrize("head", [
    lambda net, h: (net.b if len(h) > 4 else net.a)(h),
    lambda net, h: (net.b if len(h) == 1 else net.a)(h),
])  # fmt: skip
def test_a_branch_on_the_number_of_images_is_no_surprise_after_normalising(head: Forward) -> None:
    with pytest.raises(
        InvarianceError, match=r"on a batch of [18] x 3 x 8 x 8(?s:.*)for another shape or argument"
    ):
        unitmean.normalise(Net(head), [X, X.repeat(2, 1, 1, 1), X[:1]], strict=False)


def test_float32_that_underflows_where_the_model_does_not() -> None:
    convolutions = (nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 8, 3, bias=False), nn.ReLU())
    model = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(8 * 16, 4)).eval()
    state = changed(model)
    state["0.weight"] *= 2.0**-100
    state["2.weight"] *= 2.0**-60
    state["5.weight"] *= 2.0**80
    state["5.weight"] *= 2.0**80
    assert not unitmean.verify(model, state, [X])


def test_float16_that_cannot_hold_the_new_weights() -> None:
    channels = 256
    model = nn.Sequential(nn.Conv2d(3, channels, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                          nn.Linear(channels, 10)).eval()  # fmt: skip
    with torch.no_grad():
        for name, size in (("0.weight", 2e-4), ("0.bias", 0.0), ("4.weight", 3e-3), ("4.bias", 0.0)):
            model.get_parameter(name).mul_(size)
    with pytest.raises(
        InvarianceError, match=r"float16 may not hold the new weights: normalise model.float\(\)"
    ):
        unitmean.normalise(model.half(), [X.half()])
    assert unitmean.verify(model, (result := unitmean.normalise(model.float(), [X])).state, [X], result)


def test_whole_numbers_are_equal_or_not() -> None:
    model = Net(lambda net, h: torch.stack([net.a(h).argmax(1), torch.full((len(h),), 2**31)], 1))
    other = changed(model, a__bias=torch.tensor([0.0, 0.0, 0.0, 9.0]))
    assert not unitmean.verify(model, other, [X])
    assert unitmean.verify(model, model.state_dict(), [X])


def test_a_number_that_is_no_tensor_is_refused() -> None:
    model = Net(lambda net, h: (net.a(h), net.b(h).sum().item()))
    with pytest.raises(NetworkError, match=r"must return tensors; found a number at output\[1\]"):
        unitmean.verify(model, changed(model, b__weight=torch.zeros(4, 8)), [X])


def test_one_batch_of_large_numbers_hides_nothing() -> None:
    model = Net(lambda net, h: net.a(h))
    other = changed(model, a__bias=torch.tensor([3.0, -3.0, 2.0, 0.0]))
    assert not unitmean.verify(model, other, [X, X, X * 1e8])


class Around(nn.DataParallel[nn.Module]):
    """More than what is inside it."""

    def __init__(self) -> None:
        super().__init__(Net(lambda net, h: net.a(h)))
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Any:
        return super().forward(x) * self.scale


class Named(nn.Module):
    """A part has the name that torch.compile gives to what it compiles."""

    def __init__(self) -> None:
        super().__init__()
        self._orig_mod, self.scale = Net(lambda net, h: net.a(h)), nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Any:
        return self._orig_mod(x) * self.scale


@pytest.mark.parametrize("kind", [Around, Named])
def test_what_lies_around_a_network_counts(kind: type[nn.Module]) -> None:
    model = kind().eval()
    assert not unitmean.verify(model, changed(model, scale=torch.zeros(4)), [X])


def test_a_state_dict_that_loading_changes_is_refused() -> None:
    model = Net(lambda net, h: net.a(h))
    state = changed(model)
    hook = lambda _, found, *__: found.update({"a.bias": found["a.bias"] + 1})  # noqa: E731
    model.register_load_state_dict_pre_hook(hook)  # type: ignore[no-untyped-call]
    with pytest.raises(NetworkError, match=r"loading it makes others of 'a.bias'"):
        unitmean.verify(model, state, [X])


class Versioned(nn.BatchNorm2d):
    """It asks for the version of what it loads, as torchvision's mnasnet does."""

    asked = 2

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: dict[str, Any], *more: Any
    ) -> None:
        if local_metadata.get("version") != self.asked:
            raise ValueError("another version")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *more)


def test_versions_of_parts_are_kept_and_supplied() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), Versioned(8), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()
    result = unitmean.normalise(model, [X])
    model.load_state_dict(result.state)
    plain = dict(result.state)  # as of a file, which keeps no versions
    assert unitmean.verify(model, plain, [X])
    Versioned.asked = 3
    with pytest.raises(NetworkError, match="its own code refuses them: another version;"):
        unitmean.verify(model, plain, [X])


@pytest.mark.filterwarnings("ignore:not used for such a batch")
def test_the_model_keeps_its_buffers() -> None:
    def counting(net: Net, h: Tensor) -> Tensor:
        net.stamp += 1
        found: Tensor = net.a(h) + net.stamp.float() * 0
        return found

    model = Net(counting)
    before = changed(model)
    result = unitmean.normalise(model, [X, X], strict=False)
    unitmean.verify(model, result.state, [X], result)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


class Dropped(nn.Module):
    """Somebody's own dropout."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rand_like(x) if self.training else x


@pytest.mark.parametrize("part", [nn.BatchNorm2d(8), nn.Dropout(), nn.InstanceNorm2d(8), Dropped()])
def test_a_part_in_training_mode_is_refused_by_name(part: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), part, nn.ReLU(), nn.Conv2d(8, 2, 1)).eval()
    unitmean.normalise(model, [X], strict=False)
    model[1].train()
    with pytest.raises(NetworkError, match=r"found in training mode: '1': call .eval\(\)"):
        unitmean.normalise(model, [X])


def test_a_part_that_training_does_not_change_may_be_in_that_mode() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()
    model[2].train()
    assert unitmean.normalise(model, [X])


def test_complex_numbers_that_overflow() -> None:
    model = Net(lambda net, h: torch.complex(net.a(h), net.b(h)) * 1e30)
    other = changed(model, b__weight=torch.full((4, 8), 1e30))
    assert unitmean.verify(model, model.state_dict(), [X]) and not unitmean.verify(model, other, [X])


@pytest.mark.filterwarnings("ignore:not used for such a batch")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("own", [False, True], ids=["stored in it", "computed in it"])
def test_weights_in_a_coarse_type_may_differ_by_its_rounding_and_no_more(
    dtype: torch.dtype, own: bool
) -> None:
    model = Net(lambda net, h: net.a(h))
    result = unitmean.normalise(model, [X])
    stored = {name: t.to(dtype) for name, t in result.state.items()}
    if own:
        model.to(dtype)
    assert unitmean.verify(model, stored, [X])
    stored["a.weight"], stored["a.bias"] = stored["a.weight"] * 0.9, stored["a.bias"] * 0.9
    assert not unitmean.verify(model, stored, [X])


def test_an_unread_coarse_buffer_allows_nothing() -> None:
    model = Net(lambda net, h: net.a(h))
    state = changed(model, stamp=torch.zeros(1, dtype=torch.bfloat16))
    assert unitmean.verify(model, state, [X])
    state["a.weight"] *= 1.001
    assert not unitmean.verify(model, state, [X])
