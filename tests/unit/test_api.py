"""The library calls, on modules and loaders that anybody might have."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from unit.graph.chains import chain

import unitmean
from unitmean.api import Normalised
from unitmean.errors import DataError, NetworkError
from unitmean.statistics.factors import status
from unitmean.statistics.kinds import statistics

README = Path(__file__).resolve().parents[2] / "README.md"


def images(n: int = 24) -> Tensor:
    return torch.rand(n, 3, 12, 12, generator=torch.Generator().manual_seed(5))


def loader() -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(TensorDataset(images(), torch.arange(24)), batch_size=7)


def means(model: nn.Module, result: Normalised) -> dict[str, Tensor]:
    found = unitmean.measure(model, loader(), result.plan)
    return {site: moments.expectation() for site, moments in found.items()}


@pytest.mark.parametrize("norm", [False, True])
def test_a_model_and_a_loader_are_enough(norm: bool) -> None:
    model = chain(norm=norm)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    result = unitmean.normalise(model, loader())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())

    proof = unitmean.verify(model, result.state, loader(), result)
    assert len(proof.deviations) == 4  # three rectifiers and the output
    assert all(d.float64 < 1e-13 and d.float32 < 1e-5 for d in proof.deviations.values())
    assert proof.comparison.behaviour is not None
    assert proof.comparison.behaviour.top1 == proof.comparison.behaviour.images == 24

    new = chain(norm=norm)
    new.load_state_dict(result.state)
    assert any((mean - 1).abs().max() > 0.1 for mean in means(model, result).values())
    for site, mean in means(new, result).items():
        live = [c for c in range(len(mean)) if c not in result.dead.get(site, [])]
        assert len(live) > 2 and (mean[live] - 1).abs().max() < 1e-5


def test_verify_without_the_result_looks_at_the_output() -> None:
    model = chain()
    result = unitmean.normalise(model, loader())
    right = unitmean.verify(model, result.state, loader())
    assert list(right.deviations) == ["output"] and right.deviations["output"].float64 < 1e-5
    wrong = dict(result.state) | {"11.weight": model.state_dict()["11.weight"]}
    assert unitmean.verify(model, wrong, loader()).deviations["output"].float64 > 1e-2


def test_the_steps_by_hand_are_the_same() -> None:
    model = chain(norm=True)
    plan = unitmean.analyse(model, images(2))
    statistics = unitmean.measure(model, images().split(5), plan)
    state = plan.rescale(unitmean.factors(plan, statistics))
    whole = unitmean.normalise(model, images().split(5)).state
    assert all(torch.equal(state[name], whole[name]) for name in state)


@pytest.mark.parametrize("statistic", ["rms", "max", "quantile"])
def test_other_statistics_become_one(statistic: str) -> None:
    model = chain()
    result = unitmean.normalise(model, loader(), statistic=statistic)
    new = chain()
    new.load_state_dict(result.state)
    again = unitmean.measure(new, loader(), result.plan, histograms=True)
    tolerance = 0.02 if statistic == "quantile" else 1e-5  # buckets lie elsewhere in the new activations
    for site, moments in again.items():
        live = [c for c in range(len(moments.mean)) if c not in result.dead.get(site, [])]
        found = statistics()[statistic].of(moments.summary(), 0.999)
        assert live and (found[live] - 1).abs().max() < tolerance
    with pytest.raises(ValueError, match="max, mean, quantile, rms"):
        unitmean.normalise(model, loader(), statistic="median")


class Stream(IterableDataset[Tensor]):
    """Data that don't know how many they are."""

    def __iter__(self) -> Iterator[Tensor]:
        return iter(images())


def test_a_loader_may_not_know_its_length() -> None:
    model, streamed = chain(), DataLoader(Stream(), 7)
    result = unitmean.normalise(model, streamed, progress=True)
    expected = unitmean.normalise(model, loader())
    assert all(torch.equal(result.state[name], tensor) for name, tensor in expected.state.items())
    assert unitmean.verify(model, result.state, streamed)


def test_quantiles_need_histograms_and_a_share() -> None:
    model = chain()
    plan = unitmean.analyse(model, images(2))
    with pytest.raises(ValueError, match="histograms=True"):
        unitmean.factors(plan, unitmean.measure(model, loader(), plan), statistic="quantile")
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        unitmean.normalise(model, loader(), statistic="quantile", quantile=0.0)
    with pytest.raises(ValueError, match="quantile must be left out with statistic='mean'.*found 0.9"):
        unitmean.normalise(model, loader(), quantile=0.9)
    result = unitmean.normalise(model, loader(), statistic="quantile")
    assert result.made["quantile"] == 0.999


def test_a_channel_whose_quantile_is_zero_is_listed_as_dead() -> None:
    model = chain()
    result = unitmean.normalise(model, loader(), statistic="quantile", quantile=0.01)
    site = result.plan.sites[0]
    found = statistics()["quantile"].of(result.statistics[site.name].summary(), 0.01)
    zero = (found == 0).nonzero().flatten().tolist()
    assert zero and result.dead[site.name] == zero
    assert (result.factors[site.variables[zero]] == 1).all()


def test_a_dead_channel_keeps_its_factor_and_is_listed() -> None:
    model = chain()
    with torch.no_grad():
        model.get_parameter("0.bias")[2] = -1e6
    result = unitmean.normalise(model, loader())
    site = result.plan.sites[0]
    assert 2 in result.dead[site.name] and result.factors[site.variables[2]] == 1
    live = {s: torch.tensor([c not in result.dead.get(s, []) for c in range(len(m.mean))])
            for s, m in result.statistics.items()}  # fmt: skip
    means = {s: moments.expectation() for s, moments in result.statistics.items()}
    assert status(result.plan, live, means)[site.name][2] == "dead"


def test_images_that_activate_no_channel_are_refused() -> None:
    model = chain(head=False)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.Conv2d) and part.bias is not None:
                part.bias.fill_(-1e6)
    with pytest.raises(DataError, match=r"a mean above 1.1e-19; found none on 4 images: give more images"):
        unitmean.normalise(model, [torch.rand(4, 3, 16, 16)], outputs="normalise")


def test_a_network_that_is_free_in_part_needs_the_switch() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.SiLU(), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.Conv2d(5, 2, 1)
    ).eval()
    with pytest.raises(
        NetworkError,
        match=r"(?s)1 has 0 of 4 channels free, because silu in 2 .*1 of 2 rectifiers.*strict=False",
    ):
        unitmean.normalise(model, loader())
    result = unitmean.normalise(model, loader(), strict=False)
    assert result.plan.free.sum() == 5
    assert unitmean.verify(model, result.state, loader(), result).deviations["output"].float64 < 1e-13
    with pytest.raises(NetworkError, match="must have a rectifier.*found none: choose"):
        unitmean.normalise(nn.Conv2d(3, 2, 1).eval(), loader())
    silent = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 2, 1)).eval()
    with pytest.raises(NetworkError, match="must have a rectifier.*found none, but silu: choose"):
        unitmean.normalise(silent, loader(), strict=False)


def test_batches_may_come_from_a_generator_and_must_hold_tensors() -> None:
    def generator() -> Iterator[Tensor]:
        yield from images().split(5)

    model = chain()
    used = generator()
    first = unitmean.normalise(model, used)
    assert torch.equal(first.factors, unitmean.normalise(model, images().split(5)).factors)
    with pytest.raises(DataError, match="used before"):
        unitmean.normalise(model, used)
    with pytest.raises(DataError, match="begins with one,.*found list"):
        unitmean.normalise(model, [["a", images()]])
    with pytest.raises(NetworkError, match="eval mode"):
        unitmean.normalise(chain().train(), loader())


def test_the_readmes_example_runs() -> None:
    example = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    names: dict[str, Any] = {"model": chain(), "loader": loader()}
    exec(example[1], names)
    assert names["proof"].passed and "assert proof" in example[1]


@pytest.mark.parametrize("factor", [3.0, 1 + 1e-6])
def test_a_proof_is_of_the_very_weights(factor: float) -> None:
    model = chain()
    result = unitmean.normalise(model, loader())
    assert unitmean.verify(model, result.state, loader(), result)
    name = next(name for name, tensor in result.state.items() if tensor.ndim == 4)
    wrong = result.state | {name: result.state[name] * factor}
    proof = unitmean.verify(model, wrong, loader(), result)
    assert not proof and not proof.passed
    assert any(failure.startswith(name) for failure in proof.failures)
    assert bool(unitmean.verify(model, wrong, loader())) == (factor < 2)


def test_all_that_is_public_can_be_had_and_is_known_to_type_checkers() -> None:
    assert set(unitmean.__all__) == {"__version__", *unitmean._PUBLIC}
    text = Path(str(unitmean.__file__)).read_text(encoding="utf-8")
    imported = text[text.index("if TYPE_CHECKING") : text.index("__version__ =")]
    for name, module in unitmean._PUBLIC.items():
        assert getattr(unitmean, name).__name__ == name
        assert re.search(rf"from {re.escape(module)} import .*\b{name}\b", imported), name
