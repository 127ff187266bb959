"""Stored tensors that the forward method reads from elsewhere, and tensors whose numbers share memory."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import unitmean
from unitmean.errors import NetworkError
from unitmean.graph.memory import overlapping


class Tied(nn.Module):
    """An autoencoder whose decoder reads the encoder's weight from wherever `hold` put it."""

    tied: Any

    def __init__(self, hold: Callable[["Tied"], Callable[[], Tensor]]) -> None:
        super().__init__()
        self.first, self.encode, self.last = nn.Linear(12, 8), nn.Linear(8, 5), nn.Linear(8, 2)
        self.read = hold(self)

    def forward(self, x: Tensor) -> Tensor:
        code = self.encode(self.first(x).relu()).relu()
        found: Tensor = self.last(F.linear(code, self.read()).relu())
        return found


def in_a_list(model: Tied) -> Callable[[], Tensor]:
    model.tied = [model.encode.weight]
    return lambda: model.tied[0].t()


def in_a_dict(model: Tied) -> Callable[[], Tensor]:
    model.tied = {"weight": model.encode.weight.detach()}
    return lambda: model.tied["weight"].t()


def in_an_attribute(model: Tied) -> Callable[[], Tensor]:
    model.tied = model.encode.weight.data
    return lambda: model.tied.t()


def in_a_view(model: Tied) -> Callable[[], Tensor]:
    model.tied = model.encode.weight.data.t()
    return lambda: model.tied


def in_a_buffer(model: Tied) -> Callable[[], Tensor]:
    model.register_buffer("tied", model.encode.weight.detach(), persistent=False)
    return lambda: model.tied.t()


def in_a_closure(model: Tied) -> Callable[[], Tensor]:
    return partial(torch.t, model.encode.weight)


@pytest.mark.parametrize(
    "hold", [in_a_list, in_a_dict, in_an_attribute, in_a_view, in_a_buffer, in_a_closure]
)
def test_a_stored_tensor_that_is_held_elsewhere_too_is_refused(
    hold: Callable[[Tied], Callable[[], Tensor]],
) -> None:
    """load_state_dict would change what is read there, which the graph doesn't show."""
    with pytest.raises(NetworkError, match=r"found 'encode.weight' held elsewhere, .*: read encode.weight"):
        unitmean.normalise(Tied(hold).eval(), [torch.randn(64, 12)])


def under_its_own_name(model: Tied) -> Callable[[], Tensor]:
    return lambda: model.encode.weight.t()


def as_a_copy(model: Tied) -> Callable[[], Tensor]:
    model.tied = model.encode.weight.detach().clone().t()
    return lambda: model.tied


@pytest.mark.parametrize("hold", [under_its_own_name, as_a_copy])
def test_its_own_name_and_copies_are_followed(hold: Callable[[Tied], Callable[[], Tensor]]) -> None:
    torch.manual_seed(0)
    model, batch = Tied(hold).eval(), torch.randn(64, 12)
    before = model(batch)
    result = unitmean.normalise(model, [batch])
    model.load_state_dict(result.state)
    torch.testing.assert_close(model(batch), before)


@pytest.mark.parametrize(
    ("tensor", "overlaps"),
    [
        (torch.rand(40).as_strided((5, 4), (3, 2)), True),
        (torch.rand(4).expand(3, 4), True),
        (torch.rand(5, 8)[:, ::2], False),
        (torch.rand(5, 8).t(), False),
        (torch.rand(1), False),
        (torch.rand(0), False),
    ],
)
def test_numbers_that_are_one_in_memory_are_known(tensor: Tensor, overlaps: bool) -> None:
    assert overlapping({"weight": tensor}) == ({"weight"} if overlaps else set())
