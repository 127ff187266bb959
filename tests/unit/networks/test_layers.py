"""Paper names and module paths."""

import pytest
from torch import nn

from unitmean.networks.layers import layer_names, module_paths
from unitmean.networks.skeleton import skeleton

VGG = ("vgg11", "vgg13", "vgg16", "vgg19")


# Rectifiers by the first index of each block, as in Gatys' notebook and torchvision's listing.
@pytest.mark.parametrize(
    "architecture, paths",
    [
        ("vgg19", {"relu1_1": 1, "relu2_1": 6, "relu3_1": 11, "relu4_1": 20, "relu4_2": 22, "relu5_4": 35}),
        ("vgg16", {"relu1_2": 3, "relu2_2": 8, "relu3_3": 15, "relu4_3": 22, "relu5_3": 29}),
        ("vgg11", {"relu1_1": 1, "relu2_1": 4, "relu5_2": 19}),
        ("vgg19_bn", {"conv1_1": 0, "bn1_1": 1, "relu1_1": 2, "relu2_1": 9, "relu5_4": 51}),
        ("alexnet", {"conv1": 0, "relu1": 1, "pool1": 2, "relu5": 11}),
    ],
)
def test_known_layers(architecture: str, paths: dict[str, int]) -> None:
    found = module_paths(architecture)
    assert {name: found[name] for name in paths} == {n: f"features.{i}" for n, i in paths.items()}


@pytest.mark.parametrize("architecture", [*VGG, *(f"{name}_bn" for name in VGG), "alexnet"])
def test_every_rectifier_has_its_own_name(architecture: str) -> None:
    module = skeleton(architecture)
    rectifiers = [path for path, part in module.named_modules() if isinstance(part, nn.ReLU)]
    names = [layer_names(architecture)[path] for path in rectifiers]
    assert len(set(names)) == len(rectifiers)
    assert names[-2:] == ["relu6", "relu7"]
    assert len(module_paths(architecture)) == len(layer_names(architecture))


def test_linear_layers_count_on() -> None:
    assert [name for name in layer_names("vgg19").values() if name.startswith("fc")] == ["fc6", "fc7", "fc8"]
    assert [name for name in layer_names("alexnet").values() if name.startswith("fc")] == [
        "fc6",
        "fc7",
        "fc8",
    ]


def test_elsewhere_the_path_is_the_name() -> None:
    names = layer_names("resnet18")
    assert names["layer1.0.relu"] == "layer1.0.relu"
    assert all(path == name for path, name in names.items())
