"""From means to factors."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from unit.graph.chains import chain

from unitmean.api import measure
from unitmean.graph.analysis import analyse
from unitmean.graph.observe import observe
from unitmean.graph.plan import Plan
from unitmean.statistics.factors import choose, status


class Residual(nn.Module):
    """Two rectifiers on one stream."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.a(x))
        found: torch.Tensor = self.c(F.relu(y + self.b(y)))
        return found


def everything(plan: Plan, value: bool = True) -> dict[str, torch.Tensor]:
    return {site.name: torch.full((site.channels,), value) for site in plan.sites}


def test_scales_are_the_means_and_make_them_one() -> None:
    module, x = chain(norm=True).double(), torch.rand(8, 3, 12, 12, dtype=torch.float64)
    plan = analyse(module, x)
    means = {site: moments.expectation() for site, moments in measure(module, x.split(3), plan).items()}
    live = {name: mean > 0 for name, mean in means.items()}
    factors = choose(plan, means, live)
    module.load_state_dict(plan.rescale(factors))
    for name, moments in measure(module, [x], plan).items():
        mean = moments.expectation()
        torch.testing.assert_close(mean[live[name]], torch.ones(int(live[name].sum()), dtype=torch.float64))
        assert (mean[~live[name]] == 0).all()


def test_a_stream_takes_the_geometric_mean_of_its_rectifiers() -> None:
    module, x = Residual().double(), torch.rand(4, 3, 5, 5, dtype=torch.float64)
    plan = analyse(module, x)
    first, second = plan.sites
    assert torch.equal(first.variables, second.variables)
    means = {
        first.name: torch.tensor([1.0, 4, 9, 2]).double(),
        second.name: torch.tensor([4.0, 4, 1, 2]).double(),
    }
    live = everything(plan)
    live[second.name][3] = False
    factors = choose(plan, means, live)
    torch.testing.assert_close(factors[first.variables], torch.tensor([2.0, 4, 3, 2]).double())
    assert status(plan, live, means) == {
        first.name: ["tied"] * 3 + ["normalised"],
        second.name: ["tied"] * 3 + ["dead"],
    }


def test_powers_of_two_are_nearest_in_the_logarithm() -> None:
    module, x = chain(), torch.rand(2, 3, 12, 12)
    plan = analyse(module, x)
    means = {site.name: torch.full((site.channels,), 0.36).double() for site in plan.sites}
    factors = choose(plan, means, everything(plan), rounding="pow2")
    assert set(factors.tolist()) == {1.0, 0.5 if 0.36 > 2**-1.5 else 0.25}
    with pytest.raises(ValueError, match="pow2"):
        choose(plan, means, everything(plan), rounding="nearest")


def test_dead_and_pinned_channels_keep_the_scale_one() -> None:
    module, x = chain(head=False), torch.rand(2, 3, 12, 12)
    plan = analyse(module, x)
    means = {site.name: torch.full((site.channels,), 5.0).double() for site in plan.sites}
    live = everything(plan)
    live[plan.sites[0].name][2] = False
    factors = choose(plan, means, live)
    assert factors[plan.sites[0].variables].tolist() == pytest.approx([5, 5, 1, 5, 5])
    states = status(plan, live, means)
    assert states[plan.sites[0].name][2] == "dead" and set(states[plan.sites[1].name]) == {"pinned"}
    means[plan.sites[0].name][2] = -1
    assert status(plan, live, means)[plan.sites[0].name][2] == "negative"


def test_observer_returns_what_the_module_computes() -> None:
    module, x = chain(), torch.rand(3, 3, 12, 12)
    with torch.no_grad():
        seen = observe(module, x[:1], ["1", "output"])(x)
        torch.testing.assert_close(seen["1"], module[:2](x))
        torch.testing.assert_close(seen["output"], module(x))


def test_observer_is_differentiable_and_cut_behind_what_it_needs() -> None:
    module, x = chain(), torch.rand(1, 3, 12, 12, requires_grad=True)
    features = observe(module, torch.rand(1, 3, 12, 12), ["1"])
    features(x)["1"].sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
