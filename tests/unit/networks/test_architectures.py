"""Networks whole, without head and cut, from given weights."""

import pytest
import torch
import torch.nn.functional as F
from heads import empty
from torch import Tensor, nn
from torchvision import models

from unitmean.errors import NetworkError, WeightsError
from unitmean.networks.architectures import build
from unitmean.networks.inputs import TORCHVISION
from unitmean.networks.skeleton import skeleton


def cut(name: str, last: int) -> dict[str, Tensor]:
    """Random weights of the features up to the module with this index."""
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.rand(value.shape, generator=generator).sub_(0.4 * ("var" not in key)).to(torch.float64)
        for key, value in skeleton(name).state_dict().items()
        if key.startswith("features.") and int(key.split(".")[1]) <= last
    }


def test_a_whole_network_gives_logits() -> None:
    weights = empty("vgg11")
    network = build("vgg11", weights, input=TORCHVISION)
    assert not network.truncated
    head = network.module.get_submodule("classifier.6")
    assert isinstance(head, nn.Linear) and head.out_features == 1000
    assert list(network.module.state_dict()) == list(weights)
    assert network.layers["classifier.4"] == "relu7"


def test_it_computes_what_torchvision_computes() -> None:
    torch.manual_seed(0)
    original = models.squeezenet1_1(weights=None).eval()
    network = build("squeezenet1_1", original.state_dict(), input=TORCHVISION)
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(network.module(x), original(x))
    assert not any(getattr(part, "inplace", False) for part in network.module.modules())
    assert not network.module.training
    assert not any(parameter.requires_grad for parameter in network.module.parameters())


def test_features_alone_keep_their_keys_and_end_in_maps() -> None:
    weights = cut("alexnet", 12)
    network = build("alexnet", weights, input=TORCHVISION)
    assert network.truncated
    assert list(network.module.state_dict()) == list(weights)
    parts = list(network.module.get_submodule("features").children())
    assert [type(part) for part in parts[-2:]] == [nn.ReLU, nn.MaxPool2d]
    assert network.module(torch.rand(1, 3, 63, 63, dtype=torch.float64)).shape == (1, 256, 1, 1)
    assert "relu6" not in network.layers.values()


@pytest.mark.parametrize(
    "name, last, modules, layer", [("vgg11", 3, 5, "relu2_1"), ("vgg11_bn", 5, 7, "relu2_1")]
)
def test_fewer_convolutions_cut_behind_the_rectifier(name: str, last: int, modules: int, layer: str) -> None:
    network = build(name, cut(name, last), input=TORCHVISION)
    assert network.truncated
    assert len(list(network.module.get_submodule("features").children())) == modules
    assert list(network.layers.values())[-1] == layer
    # Every stored tensor has a place: an empty norm would be on the meta device.
    assert not any(value.is_meta for value in network.module.state_dict().values())


def test_cut_network_by_hand_with_average_pooling_and_reflection() -> None:
    weights = cut("vgg11", 3)
    network = build("vgg11", weights, pooling="avg", padding="reflect", input=TORCHVISION)
    x = torch.rand(1, 3, 10, 9, dtype=torch.float64)

    def convolve(x: Tensor, i: int) -> Tensor:
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, weights[f"features.{i}.weight"], weights[f"features.{i}.bias"]).relu()

    expected = convolve(F.avg_pool2d(convolve(x, 0), 2, 2), 3)
    torch.testing.assert_close(network.module(x), expected, rtol=1e-12, atol=0)
    zeros = build("vgg11", weights, pooling="avg", input=TORCHVISION).module(x)
    maxima = build("vgg11", weights, padding="reflect", input=TORCHVISION).module(x)
    assert not torch.allclose(zeros, expected)
    assert not torch.allclose(maxima, expected)


def test_pooling_keeps_kernel_and_stride() -> None:
    network = build("alexnet", cut("alexnet", 12), pooling="avg", input=TORCHVISION)
    pools = [part for part in network.module.modules() if isinstance(part, nn.AvgPool2d)]
    assert [(pool.kernel_size, pool.stride, pool.ceil_mode) for pool in pools] == [(3, 2, False)] * 3


def test_norm_counters_may_be_missing() -> None:
    weights = {key: value for key, value in cut("vgg11_bn", 1).items() if "num_batches" not in key}
    network = build("vgg11_bn", weights, input=TORCHVISION)
    assert network.layers["features.1"] == "bn1_1"


def test_an_unknown_architecture_names_close_ones() -> None:
    with pytest.raises(NetworkError, match=r"found 'vgg91'.*vgg19"):
        build("vgg91", {}, input=TORCHVISION)


@pytest.mark.parametrize("name", ["VGG19", "fcn_resnet50", ""])
def test_only_classifiers_by_their_exact_name(name: str) -> None:
    with pytest.raises(NetworkError, match="classification model"):
        build(name, {}, input=TORCHVISION)


def test_missing_and_unexpected_keys_are_named() -> None:
    weights = empty("alexnet")
    del weights["classifier.6.bias"]
    weights["extra"] = torch.zeros(1)
    with pytest.raises(WeightsError, match=r"missing 1: \['classifier.6.bias'\], unexpected 1: \['extra'\]"):
        build("alexnet", weights, input=TORCHVISION)


def test_a_gap_in_the_features_is_not_a_cut() -> None:
    weights = cut("vgg11", 6)
    del weights["features.3.weight"], weights["features.3.bias"]
    with pytest.raises(WeightsError, match="missing 2: .*features.3.weight"):
        build("vgg11", weights, input=TORCHVISION)


def test_a_shape_that_does_not_fit_is_named() -> None:
    weights = empty("alexnet") | {"classifier.4.weight": torch.zeros(10, 4096)}
    with pytest.raises(WeightsError, match=r"classifier.4.weight.*\(4096, 4096\); found \(10, 4096\)"):
        build("alexnet", weights, input=TORCHVISION)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_no_number_is_named(value: float) -> None:
    weights = cut("vgg11", 3)
    weights["features.3.bias"][7] = value
    with pytest.raises(WeightsError, match=r"features.3.bias holds 1 NaN or infinite values of 128"):
        build("vgg11", weights, input=TORCHVISION)


def test_opposite_infinities_do_not_cancel() -> None:
    weights = cut("vgg11", 0)
    weights["features.0.bias"][:2] = torch.tensor([float("inf"), -float("inf")])
    with pytest.raises(WeightsError, match="holds 2 NaN"):
        build("vgg11", weights, input=TORCHVISION)


def test_average_pooling_needs_layers_to_replace() -> None:
    module = build("resnet18", empty("resnet18"), pooling="avg", input=TORCHVISION).module
    pooled = module.get_submodule("maxpool")(torch.ones(1, 64, 8, 8))
    assert torch.equal(pooled, torch.ones(1, 64, 4, 4))  # the zeros beyond the border don't count
    with pytest.raises(NetworkError, match="mobilenet_v2 has none"):
        build("mobilenet_v2", empty("mobilenet_v2"), pooling="avg", input=TORCHVISION)
