"""A row of the table of relations that says too much pins channels, and makes no network wrong."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from unit.graph.chains import change, free, image, randomised

from unitmean.graph.analysis import analyse
from unitmean.graph.positions import along
from unitmean.graph.relations import RELATIONS, Relation


class Reduced(nn.Module):
    """A second convolution behind what `reduce` makes of the first one's rectified positions."""

    def __init__(self, reduce: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.reduce = nn.Conv2d(3, 4, 3), nn.Conv1d(4, 2, 1), reduce

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.reduce(self.first(x).relu()))
        return found


@pytest.mark.parametrize(("operator", "harmless", "reduce"), [
    ("std_mean", {"correction", "unbiased"}, lambda x: torch.std_mean(x, dim=3)[1]),
    ("aminmax", set(), lambda x: torch.aminmax(x, dim=3).max),
    ("quantile", {"q", "interpolation"}, lambda x: x.quantile(torch.ones(2, dtype=x.dtype) / 2, dim=3)[1]),
])  # fmt: skip
def test_a_careless_row(
    operator: str, harmless: set[str], reduce: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RELATIONS, operator, Relation(along, frozenset(harmless)))
    module = randomised(Reduced(reduce)).double()
    plan = analyse(module, image().double())
    assert free(plan.sites[0]) == 0 and change(module, image(), plan) < 1e-12
