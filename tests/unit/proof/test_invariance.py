"""The comparison accepts the right network and notices each wrong one."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn
from unit.graph.chains import chain

import unitmean
from unitmean.api import measure
from unitmean.graph.analysis import analyse
from unitmean.graph.observe import OUTPUT, Observer, observe
from unitmean.proof.differences import apart, error
from unitmean.proof.invariance import Comparison, compare
from unitmean.proof.networks import observed
from unitmean.statistics.factors import choose

MODULE = chain()
X = torch.rand(6, 3, 12, 12, generator=torch.Generator().manual_seed(0))
PLAN = analyse(MODULE, X)
RIGHT = 2 + 1e-6  # times float32's own error, by the triangle inequality
SITES = [site.name for site in PLAN.sites]
MEANS = {site: moments.expectation() for site, moments in measure(MODULE, [X], PLAN).items()}
FACTORS = choose(PLAN, MEANS, {name: mean > 0 for name, mean in MEANS.items()})


def observer(state: Mapping[str, Tensor], dtype: torch.dtype) -> Observer:
    module = chain().to(dtype)
    module.load_state_dict(state)
    return observe(module, torch.zeros(1, 3, 12, 12, dtype=dtype), [*SITES, OUTPUT])


def comparison(file: dict[str, Tensor], exact: dict[str, Tensor] | None = None) -> Comparison:
    state = MODULE.state_dict()
    exact = exact or PLAN.rescale(FACTORS, state, dtype=torch.float64)
    networks = observed(observer, state, exact, right(), file, known=True)
    undo = {site.name: site.along(FACTORS[site.variables]) for site in PLAN.sites}
    return compare(networks, undo | {OUTPUT: FACTORS[PLAN.outputs[0]]}, X.split(1))


def right() -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in PLAN.rescale(FACTORS).items()}


def test_the_right_network_passes() -> None:
    found = comparison(right())
    for deviation in found.deviations.values():
        assert deviation.float64 < 1e-13
        assert deviation.float32 <= RIGHT * deviation.float32_error < 1e-4
    assert found.behaviour is not None and found.behaviour.top1 == found.behaviour.images == 6


def uncompensated() -> dict[str, Tensor]:
    """W and b divided by the means, the next layer left as it was."""
    state = dict(MODULE.state_dict())
    for site, layer in zip(PLAN.sites, ("0", "3", "8"), strict=True):
        factor = FACTORS[site.variables].float()
        weight = state[f"{layer}.weight"]
        state[f"{layer}.weight"] = weight / factor.view(-1, *[1] * (weight.ndim - 1))
        state[f"{layer}.bias"] = state[f"{layer}.bias"] / factor
    return state


def headless() -> dict[str, Tensor]:
    """The last linear layer forgotten."""
    return right() | {name: t for name, t in MODULE.state_dict().items() if name.startswith("11.")}


def one_factor_dropped() -> dict[str, Tensor]:
    state = right()
    state["3.weight"][:, 2] /= FACTORS[PLAN.sites[0].variables[2]].float()
    return state


def one_weight_flipped() -> dict[str, Tensor]:
    state = right()
    state["3.weight"][1, 2, 0, 1] *= -1
    return state


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        (uncompensated, SITES[1]),
        (headless, OUTPUT),
        (one_factor_dropped, SITES[1]),
        (one_weight_flipped, SITES[1]),
    ],
)
def test_wrong_networks_are_noticed_at_the_place(wrong: Callable[[], dict[str, Tensor]], place: str) -> None:
    found = comparison(wrong()).deviations
    assert found[place].float32 > 10 * found[place].float32_error
    before = [*SITES, OUTPUT][: [*SITES, OUTPUT].index(place)]
    assert all(found[name].float32_ratio <= RIGHT for name in before)


def test_a_wrong_plan_is_noticed_in_float64() -> None:
    exact = PLAN.rescale(FACTORS, dtype=torch.float64)
    exact["8.weight"] = exact["8.weight"] * (1 + 1e-9)
    assert comparison(right(), exact).deviations[OUTPUT].float64 > 1e-11


def test_nan_is_not_small() -> None:
    state = right()
    state["3.bias"][0] = torch.nan
    assert not comparison(state).deviations[OUTPUT].float32 <= 1e9


@pytest.mark.parametrize(("before", "after", "same"), [
    (1.0, 1.0, True),
    (1.0, 1e38, False),  # the file overflows where the model does not
    (1e38, 1.0, True),  # nothing of float32's to compare with: float64 decides
    (1e38, 1e38, True),
])  # fmt: skip
def test_overflow_of_the_file_alone_is_a_difference(before: float, after: float, same: bool) -> None:
    def state(factor: float) -> dict[str, Tensor]:
        first, last = torch.ones(4, 3), torch.ones(2, 4)
        return {"0.weight": first * factor, "2.weight": last / factor}

    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False)).eval()
    model.load_state_dict(state(before))
    proof = unitmean.verify(model, state(after), [torch.ones(8, 3) + 1])
    assert bool(proof) == same
    assert proof.deviations[OUTPUT].float64 < 1e-6
    assert same or "the output in float32 must change by at most" in proof.failures[0]


def test_infinities_where_there_were_none_or_others() -> None:
    inf, nan = torch.inf, torch.nan
    cases = [
        ([1.0, inf, -inf], [1.5, inf, -inf], 0.5),
        ([1.0, inf], [1.5, 2.0], inf),
        ([1.0, 2.0], [1.5, inf], inf),
        ([1.0, inf], [1.0, -inf], inf),
        ([1.0, inf], [1.0, nan], nan),
        ([1.0, nan], [1.5, nan], 0.5),
        ([1.0, nan], [1.0, 2.0], nan),
        ([1.0, 2.0], [1.0, nan], nan),
    ]
    for x, y, expected in cases:
        found = float(apart(torch.tensor(x), torch.tensor(y)))
        assert found == expected or (found != found and expected != expected), (x, y)
    assert float(apart(torch.tensor([1.0, inf]), torch.tensor([1.5, 2.0]), torch.tensor([1.0, 9.0]))) == 0.5
    assert float(apart(torch.tensor([1.0, inf]), torch.tensor([1.5, 2.0]), torch.tensor([1.0, inf]))) == inf
    assert (
        float(apart(torch.tensor([1.0, complex(0, inf)]), torch.tensor([1.5, 2j]), torch.tensor([1.0, 9j])))
        == 0.5
    )
    assert float(error(torch.tensor([1.0, inf, 3.0]), torch.tensor([1.5, 2.0, -inf]))) == 0.5
    assert float(error(torch.tensor([1.0, nan, 3.0]), torch.tensor([1.5, 2.0, nan]))) == 0.5
    assert float(apart(torch.tensor([1 + 1j]), torch.tensor([1 + 3j]))) == 2.0
