"""Layers by the paper's names."""

import pytest
import torch
from heads import empty
from torch import nn
from torchvision import models

from unitmean.errors import NetworkError
from unitmean.networks.architectures import Network, build
from unitmean.networks.features import features
from unitmean.networks.inputs import CAFFE
from unitmean.networks.seeded import well_behaved
from unitmean.networks.skeleton import skeleton
from unitmean.networks.transfer_layers import transfer_layers


@pytest.fixture(scope="module")
def network() -> Network:
    generator = torch.Generator().manual_seed(0)
    shapes = {"features.0": (64, 3), "features.2": (64, 64), "features.5": (128, 64)}
    state = {f"{path}.weight": torch.randn(*s, 3, 3, generator=generator) / 20 for path, s in shapes.items()}
    state |= {f"{path}.bias": torch.zeros(s[0]) for path, s in shapes.items()}
    return build("vgg19", state, input=CAFFE)


def test_activations_are_the_modules(network: Network) -> None:
    x = torch.rand(1, 3, 8, 6)
    found = features(network, x, ["relu2_1", "relu1_1"])(x)
    assert set(found) == {"relu1_1", "relu2_1"}
    seen, body = network.input.apply(x), network.module.features
    assert isinstance(body, nn.Sequential)
    torch.testing.assert_close(found["relu1_1"], body[:2](seen))
    torch.testing.assert_close(found["relu2_1"], network.module(seen))


def test_gradients_reach_the_picture(network: Network) -> None:
    x = torch.rand(1, 3, 8, 6, requires_grad=True)
    features(network, x.detach(), ["relu2_1"])(x)["relu2_1"].sum().backward()
    assert x.grad is not None and x.grad.abs().min() > 0


def test_a_layer_that_is_not_there_is_named_with_those_that_are(network: Network) -> None:
    with pytest.raises(NetworkError) as error:
        features(network, torch.zeros(1, 3, 8, 8), ["relu1_1", "relu4_1", "conv1_1"])
    text = str(error.value)
    assert "'relu4_1', 'conv1_1', it has relu1_1, relu1_2, relu2_1:" in text
    assert text.endswith("choose the content layer and the style layers from these")


def test_pictures_of_other_sizes(network: Network) -> None:
    found = features(network, torch.zeros(1, 3, 8, 6), ["relu2_1"])
    for size in ((12, 10), (8, 6), (12, 10)):
        x = torch.rand(1, 3, *size)
        torch.testing.assert_close(found(x)["relu2_1"], network.module(network.input.apply(x)))


def test_elsewhere_layers_are_module_paths() -> None:
    network = build("resnet18", well_behaved(skeleton("resnet18"), 0), input=CAFFE)
    x = torch.rand(1, 3, 32, 32)
    found = features(network, x, ["relu", "layer1.0.relu"])(x)
    m: models.ResNet = network.module
    stem = m.conv1(network.input.apply(x))
    torch.testing.assert_close(found["relu"], m.bn1(stem).relu())
    assert found["layer1.0.relu"].shape == (1, 64, 8, 8)


def layers(name: str, size: int = 64) -> tuple[str, list[str]]:
    network = build(name, empty(name), input=CAFFE)
    return transfer_layers(network, torch.zeros(1, 3, size, size))


def test_the_usual_layers_are_the_papers_and_their_like(network: Network) -> None:
    assert layers("vgg19") == ("relu4_2", ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"])
    assert layers("vgg16_bn") == ("relu4_2", ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"])
    content, styles = layers("resnet18")
    assert styles == ["relu", "layer1.0.relu", "layer2.0.relu", "layer3.0.relu", "layer4.0.relu"]
    assert content == "layer3.0.relu#2"
    # The truncated network of the fixture ends at conv2_1.
    assert transfer_layers(network, torch.zeros(1, 3, 8, 6)) == ("relu2_1", ["relu1_1", "relu2_1"])


def test_a_layer_used_twice_has_both_its_activations() -> None:
    network = build("resnet18", well_behaved(skeleton("resnet18"), 0), input=CAFFE)
    x = torch.rand(1, 3, 32, 32)
    found = features(network, x, ["layer1.0.relu", "layer1.0.relu#2"])(x)
    m: models.ResNet = network.module
    stem = m.maxpool(m.relu(m.bn1(m.conv1(network.input.apply(x)))))
    torch.testing.assert_close(found["layer1.0.relu#2"], m.layer1[0](stem))
