"""Faults planted in a right file: each must make the proof fail and name the layer; a right one must pass."""

import dataclasses
from collections.abc import Callable
from functools import cache

import pandas as pd
import pytest
import torch
from pipeline.proof.proving import NETWORKS, Case, State, case
from torch import Tensor

from unitmean.graph.plan import Plan
from unitmean.networks.inputs import CAFFE
from unitmean.pipeline.proof.founded import SCALED
from unitmean.pipeline.proof.prove import Proof
from unitmean.pipeline.proof.remeasure import LIVE
from unitmean.pipeline.rescale.factors import from_frame

Fault = Callable[[Case], Case]


def edit(change: Callable[[State, State], object]) -> Fault:
    """A fault in the file: `change` is given its tensors and the original's, and changes the former."""

    def fault(right: Case) -> Case:
        new = {name: tensor.clone() for name, tensor in right.rescaled.state.items()}
        change(new, right.original.state)
        return right.with_state(new)

    return fault


def factor(right: Case, site: str) -> Tensor:
    rows = right.table[right.table["site"] == site]
    return torch.tensor(rows["factor"].to_numpy()).float()


def put(name: str, change: Callable[[Tensor, Tensor], Tensor]) -> Fault:
    """The tensor `name` becomes `change(it, the original's)`."""
    return edit(lambda new, old: new.update({name: change(new[name].clone(), old[name])}))


def at(index: tuple[int, ...], change: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """One number of a tensor changed."""

    def one(new: Tensor, old: Tensor) -> Tensor:
        new[index] = change(new[index])
        return new

    return one


def swapped(dim: int) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda new, old: new.index_select(dim, torch.tensor([1, 0, *range(2, new.shape[dim])]))


def with_factor(name: str, site: str, change: Callable[[Tensor, Tensor], Tensor]) -> Fault:
    """The tensor `name` becomes `change(it, the site's factors)`."""
    return lambda right: put(name, lambda new, old: change(new, factor(right, site)))(right)


def original_file(right: Case) -> Case:
    return right.with_state(dict(right.original.state))


def other_seed(right: Case) -> Case:
    return right.with_state(case("chain", seed=1).rescaled.state)


def dead_channel_scaled(right: Case) -> Case:
    return edit(lambda new, old: (new["0.weight"][1].div_(7), new["0.bias"][1].div_(7)))(right)


def forgetful(plan: Plan, name: str) -> Plan:
    return dataclasses.replace(plan, absorptions=tuple(a for a in plan.absorptions if a.name != name))


def plan_forgets(name: str) -> Fault:
    """The engine itself is wrong: the file is what the plan says, and the plan misses a tensor."""

    def fault(right: Case) -> Case:
        plan = forgetful(right.plan, name)
        new = right.rescaled.state | {name: right.original.state[name]}
        return dataclasses.replace(right.with_state(new), plan=plan)

    return fault


def table_cell(column: str, row: int, factor: float) -> Fault:
    def fault(right: Case) -> Case:
        table = right.table.copy()
        table.loc[row, column] = table[column][row] * factor
        return dataclasses.replace(right, table=table)

    return fault


def everywhere(right: Case, by: float, *, sums: bool) -> Case:
    """A factor is off in the table and the file alike; with `sums`, so is all that it rests on."""
    table = right.table.copy()
    table.loc[7, "factor"] = table["factor"][7] * by
    if sums:
        table.loc[7, "mean"] = table["mean"][7] * by
        statistics = right.statistics.assign(mean=table["mean"])
        site, channel = table["site"][7], table["channel"][7]
        change = torch.ones(len(right.first[site].mean), dtype=torch.float64)
        change[channel] = by
        first = right.first | {site: right.first[site].scaled(change)}
        right = dataclasses.replace(right, statistics=statistics, first=first)
    return rescaled_by(right, table)


def rescaled_by(right: Case, table: pd.DataFrame) -> Case:
    """Another factors.parquet, and the file that follows from it."""
    factors = from_frame(right.original.network, right.plan, table)
    right = dataclasses.replace(right, table=table)
    return right.with_state(dict(right.plan.rescale(factors, right.original.state)))


def other_images(right: Case) -> Case:
    return dataclasses.replace(right, images=right.held)


def input_recorded_wrongly(right: Case) -> Case:
    network = dataclasses.replace(right.rescaled.network, input=CAFFE)
    return dataclasses.replace(right, rescaled=dataclasses.replace(right.rescaled, network=network))


def not_powers_of_two(right: Case) -> Case:
    return dataclasses.replace(right, rules=dataclasses.replace(right.rules, rounding="pow2"))


def said_to_be_dead(right: Case) -> Case:
    """A live channel whose factor is one, in the table and the file alike."""
    table = right.table.copy()
    table.loc[7, ["factor", "status"]] = 1.0, "dead"
    return rescaled_by(right, table)


def corrected_by_seven(right: Case) -> Case:
    """Means of float32, to which no correction belongs, and all that follows from them."""
    seven = {name: right.statistics[name] * 7 for name in (*SCALED, "correction")}
    statistics = right.statistics.assign(**seven)
    table = right.table.copy()
    live = table["status"].isin(LIVE)
    table["mean"] *= 7
    table.loc[live, "factor"] *= 7
    return rescaled_by(dataclasses.replace(right, statistics=statistics), table)


# Name: network, fault, what the message must name. Layers of "chain": convolutions 0 and 3, linear 8 and 11;
# its rectifiers 1, 4, 9. Of "batch norm": convolutions 0 and 4, norms 1 and 5, linear 10 and 13.
FAULTS: dict[str, tuple[str, Fault, str]] = {
    "one weight off by 1e-3": ("chain", put("3.weight", at((2, 1, 0, 0), lambda w: w * 1.001)), "3.weight"),
    "one weight off by 1e-6": (
        "chain",
        put("3.weight", at((2, 1, 0, 0), lambda w: w * 1.000001)),
        "3.weight",
    ),
    "one weight flipped": ("chain", put("8.weight", at((0, 5), lambda w: -w)), "8.weight"),
    "one weight zero": ("chain", put("0.weight", at((0, 0, 0, 0), lambda w: w * 0)), "0.weight"),
    "one weight NaN": ("chain", put("0.bias", at((2,), lambda w: w * torch.nan)), "0.bias"),
    "a filter zero": ("chain", put("3.weight", at((4,), lambda w: w * 0)), "3.weight"),
    "a filter mirrored": ("chain", put("3.weight", at((4,), lambda w: w.flip(-1))), "3.weight"),
    "filters swapped": ("chain", put("3.weight", swapped(0)), "3.weight"),
    "input channels swapped": ("chain", put("3.weight", swapped(1)), "3.weight"),
    "biases swapped": ("chain", put("3.bias", swapped(0)), "3.bias"),
    "float16 in one tensor": ("chain", put("8.weight", lambda new, old: new.half().float()), "8.weight"),
    "bfloat16 in one tensor": ("chain", put("8.bias", lambda new, old: new.bfloat16().float()), "8.bias"),
    "float16 everywhere": (
        "chain",
        edit(lambda new, old: new.update({k: t.half().float() for k, t in new.items()})),
        "0.weight",
    ),
    "a factor dropped": (
        "chain",
        with_factor(
            "3.weight",
            "1",
            lambda w, s: w.index_put((torch.arange(7)[:, None], torch.tensor([2])), w[:, [2]] / s[2]),
        ),
        "3.weight",
    ),
    "a layer's factors dropped": (
        "chain",
        with_factor("3.weight", "1", lambda w, s: w / s[:, None, None]),
        "3.weight",
    ),
    "divided and never multiplied back": (
        "chain",
        with_factor("3.weight", "4", lambda w, s: w * s[:, None, None, None] ** 2),
        "3.weight",
    ),
    "head forgotten": ("chain", put("11.weight", lambda new, old: old), "11.weight"),
    "head divided": ("chain", with_factor("11.weight", "9", lambda w, s: w / s**2), "11.weight"),
    "head's bias scaled": ("chain", put("11.bias", lambda new, old: new * 2), "11.bias"),
    "positions laid out wrongly": (
        "chain",
        with_factor("8.weight", "4", lambda w, s: w / s.repeat_interleave(9) * s.repeat(9)),
        "8.weight",
    ),
    "bias not scaled": ("chain", put("3.bias", lambda new, old: old), "3.bias"),
    "bias scaled twice": ("chain", with_factor("3.bias", "4", lambda b, s: b / s), "3.bias"),
    "bias multiplied": ("chain", with_factor("3.bias", "4", lambda b, s: b * s**2), "3.bias"),
    "a layer left as it was": ("chain", put("0.weight", lambda new, old: old), "0.weight"),
    "dead channel scaled": ("chain", dead_channel_scaled, "0.bias"),
    "the original's file": ("chain", original_file, "0.weight"),
    "another network's file": ("chain", other_seed, "0.weight"),
    "running mean not scaled": (
        "batch norm",
        put("1.running_mean", lambda new, old: old * 1.5),
        "1.running_mean",
    ),
    "running variance scaled": (
        "batch norm",
        put("1.running_var", lambda new, old: new * 4),
        "1.running_var",
    ),
    "norm's bias not scaled": ("batch norm", put("5.bias", lambda new, old: old), "5.bias"),
    "norm's weight not scaled": ("batch norm", put("5.weight", lambda new, old: old), "5.weight"),
    "counter changed": (
        "batch norm",
        put("1.num_batches_tracked", lambda new, old: new + 1),
        "1.num_batches",
    ),
    "residual branch not scaled": ("residual", put("a.2.weight", lambda new, old: old), "a.2.weight"),
    "engine forgets the head": ("chain", plan_forgets("11.weight"), "output"),
    "engine forgets a bias": ("chain", plan_forgets("3.bias"), "at 4"),
    "engine forgets a residual branch": ("residual", plan_forgets("b.2.weight"), "at relu_b"),
    "factors.parquet of another run": ("chain", table_cell("factor", 7, 1.5), "3.weight"),
    "a factor off by 1e-8, and the file with it": (
        "chain",
        lambda right: everywhere(right, 1 + 1e-8, sums=False),
        "the factor of channel 2 of 4",
    ),
    "the sums behind a factor off by 1e-4": (
        "chain",
        lambda right: everywhere(right, 1 + 1e-4, sums=True),
        "the mean of channel 2 of 4",
    ),
    "a mean falsified": ("chain", table_cell("mean", 7, 1.01), "channel 2 of 4"),
    "means of other images": ("chain", other_images, "the mean of channel"),
    "another input recorded": ("chain", input_recorded_wrongly, "the mean of channel"),
    "a live channel said to be dead": ("chain", said_to_be_dead, "the status of channel 2 of 4"),
    "a correction of float32": ("chain", corrected_by_seven, "the correction of channel 0 of 1"),
    "said to be powers of two": ("chain", not_powers_of_two, "bit for bit"),
}


@cache
def rightly_made(network: str) -> Case:
    return case(network)


@cache
def wrong(name: str) -> Case:
    network, fault, _ = FAULTS[name]
    return fault(rightly_made(network))


@cache
def proof(name: str) -> Proof:
    """What all ways together say of a planted fault."""
    return wrong(name).prove()


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_its_layer_named(name: str) -> None:
    failures, layer = wrong(name).algebra() or proof(name).failures, FAULTS[name][2]
    assert failures, "not found"
    assert any(layer in failure for failure in failures), failures


def test_there_are_enough_of_them() -> None:
    assert len(FAULTS) >= 30


@pytest.mark.parametrize("name", NETWORKS)
def test_no_false_alarm(name: str) -> None:
    assert rightly_made(name).algebra() == [] and rightly_made(name).prove().failures == []


def test_powers_of_two_are_equal_bit_for_bit() -> None:
    failures = case("chain", 1, "pow2").prove().failures
    assert not [f for f in failures if not f.startswith("the mean of channel")]


def test_every_way_alone_finds_what_it_is_for() -> None:
    """The four ways are independent: faults that one of them can't see are seen by another."""
    algebra = proof("one weight off by 1e-6")
    assert algebra.wrong and all(f.startswith("algebra") for f in algebra.failures)
    engine = proof("engine forgets the head")
    assert not engine.wrong and any("float64" in f for f in engine.failures)
    images = proof("means of other images")
    assert not images.wrong and all(f.startswith("the mean") for f in images.failures)
