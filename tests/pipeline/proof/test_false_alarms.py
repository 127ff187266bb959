"""The proof over networks of the zoo's families (docs/zoo.md), rightly rescaled, has nothing to say."""

import os

import pytest
import torch
from narrow import narrow
from pipeline.proof.proving import SIZE, TOLERANCES, Case, Residual, normalised
from torch import nn
from unit.graph.chains import randomised

from unitmean.networks.architectures import Network, build
from unitmean.networks.inputs import TORCHVISION
from unitmean.networks.seeded import seeded
from unitmean.pipeline.index.batches import unit

# Name to height and width in pixels, as small as a network takes; UNITMEAN_PROVED="vgg19 …" adds others.
NETWORKS = {
    "alexnet": 64,
    "vgg11": 32,
    "vgg11_bn": 32,
    "squeezenet1_1": 32,
    "shufflenet_v2_x0_5": 32,
    "mnasnet0_5": 32,
    "resnet18": 32,
    "resnet50": 32,
    "googlenet": 32,
    "regnet_x_400mf": 32,
    "regnet_y_400mf": 32,
    "densenet121": 32,
    "inception_v3": 80,
}
NETWORKS |= dict.fromkeys(os.environ.get("UNITMEAN_PROVED", "").split(), 32)
QUICK = "squeezenet1_1"


def of(name: str, rounding: str = "none") -> Case:
    state = seeded(name, 0, 3.0)
    network = build(name, state, input=TORCHVISION)
    return normalised(network, state, NETWORKS[name], rounding=rounding)


@pytest.mark.parametrize(
    "name", [name if name == QUICK else pytest.param(name, marks=pytest.mark.nightly) for name in NETWORKS]
)
def test_no_false_alarm(name: str) -> None:
    quiet(of(name))


@pytest.mark.parametrize("name", ["alexnet", "vgg11_bn", "resnet18"])
def test_no_false_alarm_on_a_narrow_network(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    narrow(monkeypatch, name)
    quiet(of(name))


def quiet(case: Case) -> None:
    """The proof says nothing, and did look."""
    proof = case.prove()
    assert proof.failures == []
    assert all(
        deviation.float32_ratio <= 2 + 1e-6  # of two right networks, by the triangle inequality
        for comparison in proof.comparisons.values()
        for deviation in comparison.deviations.values()
    )
    # The proof did look: at every kind of input, every place, means, choices.
    assert len(proof.comparisons) >= 6 and proof.behaviour is not None and proof.behaviour.images == 3 + 8
    assert (proof.means["status"] != "dead").mean() > 0.5
    assert proof.means["mean_before"].max() > 100 * proof.means["mean_before"].replace(0, 1e9).min()


def test_what_is_rectified_again_may_err_as_much_as_before() -> None:
    """A block that adds nothing, as they are initialised, to a channel inactive in what is compared."""
    module = randomised(Residual())
    state = module.state_dict()
    for name in ("a.2.weight", "a.2.bias", "b.2.weight", "b.2.bias"):
        state[name].zero_()
    network = Network(module, "residual", TORCHVISION, False, {})
    shown = TORCHVISION.apply(unit(normalised(network, state, SIZE).images))
    with torch.no_grad():
        peaks = nn.Sequential(*module.stem[:2])(shown)[:, 0].amax((1, 2))
    assert peaks[:3].amax() < peaks.amax()
    state["stem.1.bias"][0] -= (peaks[:3].amax() + peaks.amax()) / 2  # active, but not in the first three
    proof = normalised(network, state, SIZE).prove()
    assert proof.failures == []
    allowed = proof.means[proof.means["channel"] == 0].set_index("site")["allowed"]
    assert allowed["relu_a"] == allowed["relu_b"] == allowed["stem.2"] > 10 * TOLERANCES.max_mean_error


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18", "shufflenet_v2_x0_5"])
def test_no_false_alarm_by_powers_of_two(name: str) -> None:
    failures = of(name, "pow2").prove().failures
    assert [words for words in failures if not words.startswith("the mean of channel")] == []
