"""A network run on inputs of many shapes."""

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from unit.graph.chains import chain

from unitmean.graph import running
from unitmean.graph.domain import Free
from unitmean.graph.inputs import Inputs
from unitmean.graph.observe import observe_outputs
from unitmean.graph.running import Running
from unitmean.graph.traced import Traced


def test_graphs_of_the_shapes_seen_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "KEPT", 2)
    model, traced = chain(), []

    def trace(x: Inputs, free: Free) -> Traced:
        found = observe_outputs(model, x, [], free=Free.NONE)
        traced.append(weakref.ref(found.graph))
        return found

    running_on = Running(trace, torch.float32, torch.device("cpu"))
    run = running_on.carrying(model.state_dict(), torch.float32)
    again = running_on.carrying(model.state_dict(), torch.float32)
    counts = []
    for size in (12, 16, 12, 20, 12, 16, 24, 28):
        x = torch.randn(1, 3, size, size)
        torch.testing.assert_close(run(x)["output"], model(x))
        torch.testing.assert_close(again(x)["output"], model(x))
        counts.append(len(traced))
    assert counts == [1, 2, 2, 3, 3, 4, 5, 6]
    gc.collect()
    assert sum(graph() is not None for graph in traced) == 2


_Map = Callable[[Tensor], Tensor]


class _Forward(nn.Module):
    """A convolution and a rectifier, around which a test's function computes."""

    def __init__(self, forward: Callable[[_Map, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self.conv, x)


def _halves(conv: _Map, x: Tensor) -> Tensor:
    smaller = F.avg_pool2d(conv(x).relu(), 2)
    return conv(F.interpolate(smaller, x.shape[2:])).relu().mean((2, 3))


def _branch(conv: _Map, x: Tensor) -> Tensor:
    y = conv(x).relu()
    return y.amax((2, 3)) if x.shape[2] % 4 == 0 else y.sum((2, 3)) * x.shape[3]


def _unseen(conv: _Map, x: Tensor) -> Tensor:
    return conv(x).relu() * len(str(x.shape))  # a symbol has fewer letters


SIZES = [(12, 12), (15, 12), (16, 20), (9, 14), (8, 8), (13, 13), (20, 28), (10, 9), (100, 7)]


@pytest.mark.parametrize(
    ("model", "traces"),
    [
        (chain(), [1, 2, 3, 3, 3, 3, 3, 3, 4]),  # where a dimension has a single position, another is made
        (_Forward(_halves).eval(), [1, 2, 3, 3, 3, 3, 3, 3, 3]),
        (_Forward(_branch).eval(), [1, 2, 3, 4, 4, 5, 5, 5, 5]),  # multiples of four, and others
        (_Forward(_unseen).eval(), [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
@pytest.mark.parametrize("images", [1, 3])
def test_one_graph_is_for_all_sizes_where_it_may(model: nn.Module, traces: list[int], images: int) -> None:
    made = []

    def trace(x: Inputs, free: Free) -> Traced:
        found = observe_outputs(model, x, [], free=free)
        made.append(found)
        return found

    run = Running(trace, torch.float32, torch.device("cpu")).carrying(model.state_dict(), torch.float32)
    counts = []
    for size in SIZES:
        x = torch.randn(images, 3, *size)
        torch.testing.assert_close(run(x)["output"], model(x))
        counts.append(len(made))
    assert counts == traces


def test_whole_numbers_and_masks_have_graphs_of_their_own() -> None:
    class Picks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.rand(4))

        def forward(self, x: Tensor, which: Tensor) -> Tensor:
            x = x * self.gain
            return x.sum(0) if which.dtype == torch.bool else x[which].sum(0)

    model = Picks().eval()
    run = Running(
        lambda x, free: observe_outputs(model, x, [], free=free), torch.float32, torch.device("cpu")
    ).carrying(model.state_dict(), torch.float32)
    x = torch.randn(2, 4)
    for which in (torch.tensor([1, 1]), torch.tensor([True, False]), torch.tensor([0, 1])):
        torch.testing.assert_close(run((x, which))["output"], model(x, which))
