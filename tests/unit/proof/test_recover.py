"""Factors are found from weights alone, and filters that are no multiple are noticed."""

import pytest
import torch
from unit.graph.chains import chain

from unitmean.graph.analysis import analyse
from unitmean.proof.recover import recover

TOLERANCE = 1e-5


@pytest.mark.parametrize("norm", [False, True])
def test_random_factors_are_recovered(norm: bool) -> None:
    module = chain(norm=norm)
    plan = analyse(module, torch.rand(1, 3, 12, 12))
    generator = torch.Generator().manual_seed(0)
    factors = torch.rand(plan.variables, dtype=torch.float64, generator=generator) + 0.1
    factors[0] = 1
    old = dict(module.state_dict())
    new = plan.rescale(factors, old)
    found = recover(plan, old, new, TOLERANCE)
    assert found.same
    torch.testing.assert_close(found.factors, factors, rtol=1e-6, atol=0)

    wrong = {name: tensor.clone() for name, tensor in new.items()}
    name = next(name for name in reversed(wrong) if name.endswith("weight"))
    wrong[name][2, 3] *= 1.001
    again = recover(plan, old, wrong, TOLERANCE)
    assert not again.same and again.off[name][1] == wrong[name][2, 3].numel()
    assert [key for key, (_, count) in again.off.items() if count] == [name]


def test_a_negative_factor_is_none() -> None:
    module = chain()
    plan = analyse(module, torch.rand(1, 3, 12, 12))
    old = dict(module.state_dict())
    new = old | {"0.weight": -old["0.weight"], "0.bias": -old["0.bias"]}
    assert not recover(plan, old, new, TOLERANCE).same


def test_a_zero_that_is_none_any_more_counts_by_its_tensors_scale() -> None:
    module = chain()
    with torch.no_grad():
        module.get_parameter("0.weight").mul_(1e-5)
        module.get_parameter("0.bias").zero_()
    plan = analyse(module, torch.rand(1, 3, 12, 12))
    old = dict(module.state_dict())
    assert recover(plan, old, dict(old), TOLERANCE).same
    found = recover(plan, old, old | {"0.bias": torch.full((5,), 9e-6)}, TOLERANCE)
    assert found.off["0.bias"] == (float("inf"), 5)
    pruned = old["3.weight"].clone()
    pruned[0, 0] = 0
    zero = old | {"3.weight": pruned}
    assert recover(plan, zero, dict(zero), TOLERANCE).same
    assert recover(plan, zero, old, TOLERANCE).off["3.weight"][1] == 9
