"""What `normalise` returned, kept in a file and shown in a notebook."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torchvision import models

import unitmean
from unitmean.errors import WeightsError
from unitmean.layouts.files import load_weights, save_weights
from unitmean.networks.named import known_name


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = models.squeezenet1_1(num_classes=3).eval()
    return made


@pytest.fixture(scope="module")
def batches() -> list[torch.Tensor]:
    return [torch.rand(4, 3, 48, 48) for _ in range(2)]


@pytest.fixture(scope="module")
def result(model: nn.Module, batches: list[torch.Tensor]) -> unitmean.Normalised:
    return unitmean.normalise(model, batches, statistic="quantile", rounding="pow2", min_active_fraction=0.1)


def test_a_result_comes_back_as_it_was(
    model: nn.Module, batches: list[torch.Tensor], result: unitmean.Normalised, tmp_path: Path
) -> None:
    result.save(tmp_path / "result.safetensors")
    found = unitmean.Normalised.load(tmp_path / "result.safetensors")
    assert found.state.keys() == result.state.keys()
    assert all(torch.equal(found.state[key], tensor) for key, tensor in result.state.items())
    assert torch.equal(found.factors, result.factors)
    assert (found.dead, found.negative, found.tied) == (result.dead, result.negative, result.tied)
    assert any(found.dead.values())  # or nothing was compared
    assert repr(found) == repr(result) and found.made == result.made
    again = found.plan.rescale(found.factors, model.state_dict())
    assert all(torch.equal(again[key], tensor) for key, tensor in result.state.items())
    for site, moments in result.statistics.items():
        assert torch.equal(found.statistics[site].histogram, moments.histogram)
        assert torch.equal(found.statistics[site].deviation(), moments.deviation())
    assert unitmean.verify(model, found.state, batches, found)


def test_a_wrong_number_in_the_file_fails_the_proof(
    model: nn.Module, batches: list[torch.Tensor], result: unitmean.Normalised, tmp_path: Path
) -> None:
    result.save(tmp_path / "result.safetensors")
    state, values = load_weights(tmp_path / "result.safetensors")
    name = next(key for key in state if key.endswith("weight"))
    save_weights(tmp_path / "wrong.safetensors", state | {name: 1.01 * state[name]}, values)
    wrong = unitmean.Normalised.load(tmp_path / "wrong.safetensors")
    proof = unitmean.verify(model, wrong.state, batches, wrong)
    assert not proof and any(failure.startswith(name) for failure in proof.failures)


def test_another_program_reads_a_state_dict(
    model: nn.Module, result: unitmean.Normalised, tmp_path: Path
) -> None:
    result.save(tmp_path / "result.safetensors")
    models.squeezenet1_1(num_classes=3).load_state_dict(load_file(tmp_path / "result.safetensors"))


def test_it_says_whose_network_it_is(result: unitmean.Normalised) -> None:
    assert result.made["class"] == "torchvision.models.squeezenet.SqueezeNet"
    assert result.made["network"] is None  # torchvision's has other classes
    assert (result.made["images"], result.made["statistic"], result.made["rounding"]) == (
        8,
        "quantile",
        "pow2",
    )
    assert known_name(models.squeezenet1_1()) == "torchvision squeezenet1_1"
    assert known_name(models.vgg11_bn()) == "torchvision vgg11_bn"
    assert known_name(nn.Sequential()) is None


def test_a_result_and_a_network_are_not_taken_for_each_other(
    result: unitmean.Normalised, tmp_path: Path
) -> None:
    result.save(tmp_path / "result.safetensors")
    with pytest.raises(WeightsError, match=r"must hold a network.*unitmean.Normalised.load\(path\)"):
        unitmean.load(tmp_path / "result.safetensors")
    save_weights(tmp_path / "network.safetensors", {}, {"model": "vgg19"})
    with pytest.raises(WeightsError, match=r"what result.save wrote; found another.*unitmean.load\(path\)"):
        unitmean.Normalised.load(tmp_path / "network.safetensors")


def test_changed_metadata_is_refused(result: unitmean.Normalised, tmp_path: Path) -> None:
    result.save(tmp_path / "result.safetensors")
    state, values = load_weights(tmp_path / "result.safetensors")
    changes: list[dict[str, object]] = [{"factors": "many"}, {"plan": {}}, {"statistics": {"a": [1]}}]
    for change in changes:
        save_weights(tmp_path / "changed.safetensors", state, values | change)
        with pytest.raises(WeightsError, match="what result.save wrote"):
            unitmean.Normalised.load(tmp_path / "changed.safetensors")


class Balanced(HTMLParser):
    """Every element is closed, in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_notebook_shows_each_rectifier(result: unitmean.Normalised) -> None:
    text = result._repr_html_()
    parser = Balanced()
    parser.feed(text)
    assert not parser.open
    assert parser.seen.count("tr") == len(result.plan.sites) + 1
    drawn = [site for site in result.plan.sites if len(result.dead.get(site.name, [])) < site.channels]
    assert len(re.findall("#c2410c", text)) == len(drawn)  # a bar each
    assert "nan" not in text and "inf" not in text


def test_a_report_is_one_page(result: unitmean.Normalised, tmp_path: Path) -> None:
    result.report(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    parser = Balanced()
    parser.feed(text.removeprefix("<!doctype html>"))
    assert not parser.open
    assert "torchvision.models.squeezenet.SqueezeNet" in text and "http" not in text.replace(
        "http://www.w3.org/2000/svg", ""
    )


def test_a_network_of_which_a_rectifier_is_never_active(tmp_path: Path) -> None:
    parts = nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Conv2d(2, 1, 1)
    module = nn.Sequential(*parts).eval()
    nn.init.constant_(module.get_parameter("0.bias"), 10)
    nn.init.constant_(module.get_parameter("2.bias"), -100)
    result = unitmean.normalise(module, [torch.rand(2, 3, 8, 8)])
    assert "<svg" in result._repr_html_()
    result.save(tmp_path / "result.safetensors")
    assert unitmean.Normalised.load(tmp_path / "result.safetensors").dead == result.dead == {"3": [0, 1]}
