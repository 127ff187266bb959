"""Networks on graphs: neighbours looked up by indices, and edges left out by their numbers."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from unit.graph.chains import free
from unit.proving import proved

import unitmean
from unitmean.errors import NetworkError
from unitmean.graph.plan import Plan


def drawn(nodes: int, edges: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Numbers of nodes, and two rows with the ends of edges, some of which join a node to itself."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(0, nodes, (2, edges), generator=generator)
    ends[0, :2] = ends[1, :2]
    return torch.randn(nodes, 5, generator=generator), ends


def normalised_sum(x: Tensor, edges: Tensor) -> Tensor:
    """The symmetrically normalised sum over neighbours and the node itself, as in Kipf and Welling's GCN."""
    others = edges[:, edges[0] != edges[1]]
    every = torch.arange(len(x)).expand(2, -1)
    start, end = torch.cat((others, every), 1)
    degree = torch.zeros(len(x)).scatter_add_(0, end, torch.ones(end.shape))
    weight = degree.pow_(-0.5).masked_fill_(degree == torch.inf, 0)
    return torch.zeros_like(x).index_add_(0, end, (weight[start] * weight[end])[:, None] * x[start])


def largest(x: Tensor, edges: Tensor) -> Tensor:
    index = edges[1][:, None].expand(-1, x.shape[1])
    return x.new_zeros(x.shape).scatter_reduce_(0, index, x[edges[0]], "amax", include_self=False)


def mean(x: Tensor, edges: Tensor) -> Tensor:
    count = torch.zeros(len(x), 1).index_add(0, edges[1], torch.ones(edges.shape[1], 1))
    return torch.zeros(len(x), x.shape[1]).index_add(0, edges[1], x[edges[0]]) / count.clamp(min=1)


def kept(x: Tensor, edges: Tensor) -> Tensor:
    """Nodes that have a neighbour; the others' numbers are zero."""
    known = torch.zeros(len(x), dtype=torch.bool).index_fill(0, edges[1], True)
    found = torch.zeros_like(x)
    found[known] = x[known]
    return found


class Graph(nn.Module):
    def __init__(self, joined: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.joined = joined

    def hidden(self, x: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        first = self.joined(self.first(x), edges).relu()
        return first, self.second(self.joined(first, edges)).relu()

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        found: Tensor = self.last(self.joined(self.hidden(x, edges)[1], edges))
        return found


def live(joined: Callable[[Tensor, Tensor], Tensor]) -> Graph:
    torch.manual_seed(0)
    model = Graph(joined).eval()
    nn.init.constant_(model.first.bias, 1.0)
    nn.init.constant_(model.second.bias, 1.0)
    return model


@pytest.mark.parametrize("joined", [normalised_sum, largest, mean, kept])
def test_every_channel_of_a_graph_network_has_mean_one_over_all_nodes(joined: Any) -> None:
    model = live(joined)
    batches = [(drawn(30, 90), None), (drawn(21, 40, 1), None)]
    result = proved(model, batches)
    assert [free(site) for site in result.plan.sites] == [8, 8]
    model.load_state_dict(result.state)
    for layer in (0, 1):
        over = torch.cat([model.hidden(*x)[layer].detach() for x, _ in batches]).mean(0)
        torch.testing.assert_close(over, torch.ones(8))
    wrong = dict(result.state) | {"second.weight": result.state["second.weight"] * 1.01}
    assert not unitmean.verify(model, wrong, batches, result)


def test_batches_may_name_their_arguments() -> None:
    model = live(normalised_sum)
    x, edges = drawn(30, 90)
    result = unitmean.normalise(model, [{"edges": edges, "x": x}])
    assert unitmean.verify(model, result.state, [{"x": x, "edges": edges}], result)


def test_edges_in_a_stored_matrix_leave_channels_their_own_factors() -> None:
    class Stored(Graph):
        edges: Tensor

        def __init__(self) -> None:
            super().__init__(lambda x, edges: edges @ x)
            self.register_buffer("edges", (torch.rand(30, 30) < 0.2).float())

        def forward(self, x: Tensor, edges: Tensor | None = None) -> Tensor:
            return super().forward(x, self.edges)

    torch.manual_seed(0)
    result = proved(Stored().eval(), [(torch.rand(4, 30, 5), None)])
    assert [free(site) for site in result.plan.sites] == [8, 8]


class Rows(nn.Module):
    """What `use` makes of rectified rows of which a mask leaves some out."""

    def __init__(self, use: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.use = nn.Linear(5, 4), nn.Linear(4, 3), use

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.use(self.first(x).relu()[x[:, 0] > 0]))
        return found


# Shapes in which a channel's place depends on how many rows there are, and what it then is beside.
@pytest.mark.parametrize(("use", "expected"), [
    (lambda x: x.mean(0), 4),
    (lambda x: x.unflatten(1, (2, 2)).flatten(1).sum(0), 4),
    (lambda x: x.T.amax(1), 4),
    (lambda x: torch.cat((x, x.flip(1))).mean(0), 2),
    (lambda x: torch.cat((x, x.flip(1))).narrow(0, 0, x.shape[0]).mean(0), 0),
    (lambda x: torch.cat((x, x.flip(1)))[:8].mean(0), 2),
    (lambda x: x.reshape(4, -1).mean(1), 0),
    (lambda x: x.reshape(-1)[:4], 0),
    (lambda x: x.reshape(-1, 2).mean(0).repeat(2), 0),
    (lambda x: torch.nn.functional.pad(x, (0, 0, 2, 0))[:4].sum(0), 4),
])  # fmt: skip
def test_what_holds_for_every_number_of_rows(use: Callable[[Tensor], Tensor], expected: int) -> None:
    torch.manual_seed(0)
    assert free(require_right_plan(Rows(use).eval().double()).sites[0]) == expected


class Learned(Rows):
    """The rows, and tables of numbers to put beside them."""

    def __init__(self, use: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__(lambda rows: use(self, rows))
        self.table, self.gain = nn.Parameter(torch.rand(200, 4)), nn.Parameter(torch.rand(4))
        self.register_buffer("step", torch.tensor(3))
        self.register_buffer("orders", torch.stack([torch.randperm(4) for _ in range(200)]))


# Stored numbers that are taken from places which the input's numbers say, or other stored ones.
@pytest.mark.parametrize("use", [
    lambda self, x: (x + self.table[: x.shape[0]]).sum(0),
    lambda self, x: (x + self.table[self.step.item()]).sum(0),
    lambda self, x: (x * self.table[x.shape[0]]).sum(0),
    lambda self, x: (x * self.gain.roll(x.shape[0])).sum(0),
    lambda self, x: (x[:, self.orders[x.shape[0]]] * self.gain).sum(0),
    lambda self, x: (x.index_select(1, self.orders[x.shape[0]]) * self.gain).sum(0),
    lambda self, x: (x * self.gain[torch.argsort(self.first.bias)]).sum(0),
    lambda self, x: x.sum(0) * torch.zeros(4, dtype=x.dtype).fill_(self.first.bias[0]),
    lambda self, x: x.sum(0) * x.new_full((4,), self.first.bias[0].item()),
    lambda self, x: x.sum(0) * torch.full_like(x[0], x.mean().item()),
    lambda self, x: x.sum(0) + self.gain.expand(x.shape[0], 4).mean(0),
])  # fmt: skip
def test_stored_numbers_from_places_that_are_not_known(use: Callable[[Any, Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    require_right_plan(Learned(use).eval().double())


def require_right_plan(module: nn.Module) -> Plan:
    """Any factors of what is free leave the results alone, however many rows there are."""
    x = torch.randn(16, 5, dtype=torch.float64)
    x[::2, 0] = 1.0
    plan = unitmean.analyse(module, x)
    state = dict(module.state_dict())
    factors = torch.where(plan.free, torch.rand(plan.variables, dtype=torch.float64) + 0.5, 1.0)
    for y in (x, x.roll(1, 0), torch.cat((x[::2], x[::2])), x.repeat(8, 1)):
        before = module(y)
        module.load_state_dict(plan.rescale(factors, state))
        torch.testing.assert_close(module(y), before)
        module.load_state_dict(state)
    return plan


class Chosen(nn.Module):
    """It returns the rows whose first number is above `least`."""

    def __init__(self, least: float) -> None:
        super().__init__()
        self.first, self.last, self.least = nn.Linear(5, 4), nn.Linear(4, 3), least

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.first(x).relu())
        return found[found[:, 0] > self.least]


def test_results_of_a_size_that_depends_on_weights_are_compared() -> None:
    torch.manual_seed(0)
    model, x = Chosen(0.0).eval(), torch.randn(64, 5)
    state = dict(model.state_dict())
    assert unitmean.verify(model, state, [x])
    wrong = unitmean.verify(model, state | {"last.bias": state["last.bias"] + 0.1}, [x])
    assert not wrong and "inf" in str(wrong)


def test_rows_are_compared_where_the_original_returns_none() -> None:
    class Gated(Chosen):
        def __init__(self) -> None:
            super().__init__(0.0)
            self.gate = nn.Linear(5, 1)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.last(self.first(x).relu())
            return found[self.gate(x)[:, 0] > self.least]

    torch.manual_seed(0)
    model, x = Gated().eval(), torch.randn(64, 5)
    kept = model.gate(x)[:, 0] > 0
    batches, state = [x[kept], x[~kept]], dict(model.state_dict())
    assert unitmean.verify(model, state, batches)
    # The same for the first batch; of the second, of which the original returns nothing, it returns all.
    wrong = unitmean.verify(model, state | {"gate.bias": state["gate.bias"] + 100.0}, batches)
    assert not wrong and "inf" in str(wrong)


def test_a_size_that_rounding_decides_is_told() -> None:
    torch.manual_seed(0)
    model, x = Chosen(0.0).eval(), torch.randn(64, 5)
    seen = [
        net.last(net.first(y).relu())[:, 0].double().detach()
        for net, y in ((model, x), (deepcopy(model).double(), x.double()))
    ]
    apart = (seen[0] - seen[1]).abs().argmax()
    model.least = float(seen[0][apart] + seen[1][apart]) / 2
    with pytest.raises(NetworkError, match=r"sizes must be the same in float64 and float32"):
        unitmean.verify(model, dict(model.state_dict()), [x])


@pytest.mark.parametrize("rows", [0, 1, 16])
def test_the_plan_does_not_depend_on_the_examples_numbers(rows: int) -> None:
    x = torch.full((16, 5), -1.0)
    x[:rows] = 1.0
    module = Rows(lambda rows: torch.cat((rows, rows.flip(1))).sum(0)).eval()
    assert free(unitmean.analyse(module, x).sites[0]) == 2
    with torch.device("meta"):
        bare = Rows(module.use).eval()
    assert free(unitmean.analyse(bare, x.to("meta")).sites[0]) == 2
