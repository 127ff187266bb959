"""Recurrent networks: one factor a channel for all steps, and what stands before layers with gates."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from unit.graph.chains import change, free, randomised
from unit.proving import proved

import unitmean
from unitmean.graph.analysis import analyse


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.of_input, self.of_state, self.last = nn.Linear(5, 8), nn.Linear(8, 8, False), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(len(x), 8)
        for step in range(x.shape[1]):
            state = (self.of_input(x[:, step]) + self.of_state(state)).relu()
        found: Tensor = self.last(state)
        return found


class Cell(Recurrent):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(5, 8, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(len(x), 8)
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        found: Tensor = self.last(state)
        return found


@pytest.mark.filterwarnings("ignore:not used for such a batch")
@pytest.mark.parametrize("kind", [Recurrent, Cell])
def test_a_state_that_begins_at_zero_has_any_factor(kind: type[Recurrent]) -> None:
    torch.manual_seed(0)
    result = proved(kind().eval(), [(torch.randn(64, 4, 5), None)])
    assert all(torch.equal(site.variables, result.plan.sites[0].variables) for site in result.plan.sites)
    assert len(result.plan.sites[0].variables.unique()) == 8 and result.plan.sites[0].variables.all()


@pytest.mark.parametrize("settings", [{}, {"num_layers": 2}, {"bidirectional": True, "bias": False}])
def test_a_recurrent_layer_has_one_factor_a_channel_for_all_steps(settings: dict[str, Any]) -> None:
    class Layers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.RNN(4, 5, nonlinearity="relu", batch_first=True, **settings)
            self.head = nn.Linear(10 if "bidirectional" in settings else 5, 2)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.head(self.layer(x)[0])
            return found

    torch.manual_seed(0)
    model, batches = Layers().eval(), [torch.rand(6, 3, 4), torch.rand(6, 3, 4)]
    result = unitmean.normalise(model, batches)
    assert unitmean.verify(model, result.state, batches, result)
    runs = 2 if settings else 1  # layers or directions, each with a state of five channels
    assert len(result.plan.sites) == 3 * runs
    assert len({id for site in result.plan.sites for id in site.variables.tolist()}) == 5 * runs
    assert (result.factors != 1).any()
    longer = torch.rand(2, 9, 4)
    before = model(longer)
    model.load_state_dict(result.state)
    torch.testing.assert_close(model(longer), before)


class Gated(nn.Module):
    """A recurrent layer with gates between two rectifiers."""

    def __init__(self, layer: nn.Module, outputs: int) -> None:
        super().__init__()
        self.first, self.layer, self.last = nn.Linear(3, 4), layer, nn.Linear(outputs, 2)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.layer(self.first(x).relu())[0])
        return found


@pytest.mark.filterwarnings("ignore:The tensor attributes")  # they gather their weights before they run
@pytest.mark.parametrize(("layer", "outputs"), [
    (lambda: nn.LSTM(4, 5, batch_first=True), 5),
    (lambda: nn.LSTM(4, 5, num_layers=2, bidirectional=True), 10),
    (lambda: nn.LSTM(4, 5, proj_size=3, bias=False), 3),
    (lambda: nn.GRU(4, 5, num_layers=2, dropout=0.5), 5),
    (lambda: nn.GRU(4, 5, bidirectional=True, bias=False), 10),
    (lambda: nn.RNN(4, 5, num_layers=2), 5),
])  # fmt: skip
def test_the_first_matrix_of_a_layer_with_gates_takes_up_factors(layer: Any, outputs: int) -> None:
    module = randomised(Gated(layer(), outputs)).double()
    x = torch.randn(6, 7, 3, dtype=torch.float64)
    plan = analyse(module, x)
    assert free(plan.sites[0]) == 4 and change(module, x, plan) < 1e-12


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_so_does_that_of_a_cell(kind: type[nn.Module]) -> None:
    class Steps(Gated):
        def forward(self, x: Tensor) -> Tensor:
            state = None
            for step in range(x.shape[1]):
                state = self.layer(self.first(x[:, step]).relu(), state)
            found: Tensor = self.last(state[0] if isinstance(state, tuple) else state)
            return found

    module = randomised(Steps(kind(4, 5), 5)).double()
    x = torch.randn(6, 3, 3, dtype=torch.float64)
    plan = analyse(module, x)
    assert len(plan.sites) == 3 and all(torch.equal(s.variables, plan.sites[0].variables) for s in plan.sites)
    assert free(plan.sites[0]) == 4 and change(module, x, plan) < 1e-12


def test_a_state_that_a_layer_with_gates_begins_at_keeps_the_factor_one() -> None:
    class Begins(Gated):
        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x).relu()
            found: Tensor = self.last(self.layer(x, x[:, :1].movedim(1, 0))[0])
            return found

    module = randomised(Begins(nn.GRU(4, 4, batch_first=True), 4)).double()
    x = torch.randn(6, 7, 3, dtype=torch.float64)
    plan = analyse(module, x)
    assert free(plan.sites[0]) == 0 and change(module, x, plan) < 1e-12


def test_a_table_of_positions_is_rescaled_beyond_what_is_read_of_it() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)
            self.positions = nn.Parameter(torch.rand(1, 20, 4))

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.last(self.first(x).relu() + self.positions[:, : x.shape[1]])
            return found

    torch.manual_seed(0)
    model, longer = Positions().eval(), torch.randn(2, 20, 3)
    result = proved(model, [(torch.randn(64, 5, 3), None)])
    before = model(longer)
    model.load_state_dict(result.state)
    torch.testing.assert_close(model(longer), before)
    proved(model, [(torch.randn(64, 5, 3), None), (torch.randn(64, 7, 3), None)])


def test_a_learned_state_takes_up_factors() -> None:
    class Learned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.last = nn.RNN(3, 4, nonlinearity="relu", batch_first=True), nn.Linear(4, 2)
            self.state = nn.Parameter(torch.rand(1, 1, 4))

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.last(self.layer(x, self.state.expand(1, len(x), 4).contiguous())[0])
            return found

    torch.manual_seed(0)
    result = proved(Learned().eval(), [(torch.randn(64, 4, 3), None)])
    assert "state" in {absorption.name for absorption in result.plan.absorptions}
    assert free(result.plan.sites[0]) == 4 and (result.factors[result.plan.sites[0].variables] != 1).all()
