"""Layouts that people ship, read into torchvision's."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from unitmean.errors import WeightsError
from unitmean.layouts.files import read_tensors
from unitmean.layouts.reading import canonical
from unitmean.networks.architectures import build
from unitmean.networks.inputs import CAFFE, Input
from unitmean.networks.skeleton import skeleton

# The places of the convolutions in the published AdaIN/WCT encoder, and in torchvision's features.
ADAIN = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)
VGG19 = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
PAPER = [
    f"conv{b}_{i}" for b, n in zip((1, 2, 3, 4, 5), (2, 2, 4, 4, 4), strict=True) for i in range(1, n + 1)
]


def preprocessing(scale: float = 255.0, flipped: bool = True) -> dict[str, Tensor]:
    eye = torch.eye(3)
    matrix = (eye.flip(0) if flipped else eye) * scale
    return {"0.weight": matrix.view(3, 3, 1, 1), "0.bias": -torch.tensor([103.939, 116.779, 123.68])}


def convolutions(names: Iterable[int | str]) -> dict[str, Tensor]:
    return {
        f"{name}.{kind}": torch.full((1,), float(i))
        for i, name in enumerate(names)
        for kind in ("weight", "bias")
    }


@pytest.mark.parametrize("count", [16, 5, 1])
def test_adain(count: int) -> None:
    found = canonical(preprocessing() | convolutions(ADAIN[:count]), "vgg19")
    assert found.layout == "adain"
    assert found.input == CAFFE  # to the last bit, although the file holds float32
    assert list(found.state_dict) == [f"features.{i}.{k}" for i in VGG19[:count] for k in ("weight", "bias")]
    assert [int(value) for value in found.state_dict.values()] == [i for i in range(count) for _ in range(2)]


def test_the_adain_convolution_becomes_the_same_input() -> None:
    weights = preprocessing()
    x = torch.rand(1, 3, 4, 4)
    expected = torch.nn.functional.conv2d(x, weights["0.weight"], weights["0.bias"])
    found = canonical(weights | convolutions(ADAIN), "vgg19").input
    assert found is not None
    torch.testing.assert_close(found.apply(x), expected)


def test_adain_in_rgb() -> None:
    found = canonical(preprocessing(scale=1.0, flipped=False) | convolutions(ADAIN), "vgg19").input
    assert found == Input("rgb", 1.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    "matrix",
    [
        torch.rand(3, 3),
        torch.eye(3)[[1, 2, 0]],
        torch.diag(torch.tensor([1.0, -2.0, 1.0])),
        -torch.eye(3),
        torch.zeros(3, 3),
        torch.full((3, 3), float("nan")),
    ],
)
def test_any_other_preprocessing_is_refused(matrix: Tensor) -> None:
    weights = preprocessing() | {"0.weight": matrix.view(3, 3, 1, 1)} | convolutions(ADAIN)
    with pytest.raises(WeightsError, match="orders channels as RGB or BGR"):
        canonical(weights, "vgg19")


def test_bare_features_are_not_taken_for_adain() -> None:
    bare = {"0.weight": torch.zeros(64, 3, 3, 3), "0.bias": torch.zeros(64), "2.weight": torch.zeros(1)}
    found = canonical(bare, "vgg19")
    assert found.layout == "torchvision" and list(found.state_dict) == [f"features.{key}" for key in bare]
    other = {"0.weight": torch.zeros(64, 3, 3, 3), "0.bias": torch.zeros(64), "3.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"1x1 convolution.*\(64, 3, 3, 3\)"):
        canonical(other, "vgg19")


def test_adain_of_another_depth_is_refused() -> None:
    with pytest.raises(WeightsError, match="must fit vgg16.*found '?.?'?25"):
        canonical(preprocessing() | convolutions(ADAIN), "vgg16")


@pytest.mark.parametrize("count", [16, 5])
def test_leongatys(count: int) -> None:
    found = canonical(convolutions(PAPER[:count]), "vgg19")
    assert (found.layout, found.input) == ("leongatys", CAFFE)
    assert list(found.state_dict) == [f"features.{i}.{k}" for i in VGG19[:count] for k in ("weight", "bias")]


def test_leongatys_of_another_depth_is_refused() -> None:
    with pytest.raises(WeightsError, match="conv3_4.weight"):
        canonical(convolutions(PAPER), "vgg16")


def test_torchvision_stays_as_it_is() -> None:
    weights = {key: torch.zeros(1) for key in skeleton("vgg16").state_dict()}
    found = canonical(weights, "vgg16")
    assert (found.layout, found.input) == ("torchvision", None)
    assert list(found.state_dict) == list(weights)


def test_the_old_numbers_of_the_classifier_are_moved() -> None:
    new = list(skeleton("vgg19").state_dict())
    old = [k.replace("classifier.0", "classifier.1").replace("classifier.3", "classifier.4") for k in new]
    found = canonical({key: torch.zeros(1) for key in old}, "vgg19")
    assert list(found.state_dict) == new
    # alexnet's classifier really counts like that.
    alexnet = {key: torch.zeros(1) for key in skeleton("alexnet").state_dict()}
    assert list(canonical(alexnet, "alexnet").state_dict) == list(alexnet)


@pytest.mark.parametrize("keys", [[], ["encoder.x.weight", "decoder.0.bias"], ["body.stem.weight", "gain"]])
def test_an_unknown_layout_lists_keys_and_layouts(keys: list[str]) -> None:
    with pytest.raises(WeightsError, match="AdaIN.*Keras.*leongatys.*torchvision ") as caught:
        canonical({key: torch.zeros(1) for key in keys}, "vgg19")
    assert repr(keys) in str(caught.value)


def test_the_published_network() -> None:
    if "UNITMEAN_REAL" not in os.environ:
        pytest.skip("UNITMEAN_REAL names no folder with the published weights")
    path = Path(os.environ["UNITMEAN_REAL"]) / "weights" / "vgg_normalised_conv3_1.pth"
    tensors, notes = read_tensors(path)
    found = canonical(tensors, "vgg19")
    assert found.input is not None and (found.layout, found.input, notes) == ("adain", CAFFE, [])
    network = build("vgg19", found.state_dict, padding="reflect", input=found.input)
    assert network.truncated and list(network.layers.values())[-1] == "relu3_1"
    # The Sequential as it is shipped, written out: preprocessing, then padded convolutions and pools.
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    y = torch.nn.functional.conv2d(x, tensors["0.weight"], tensors["0.bias"])
    for place in (2, 5, 9, 12, 16):
        if place in (9, 16):
            y = torch.nn.functional.max_pool2d(y, 2)
        y = torch.nn.functional.pad(y, (1, 1, 1, 1), mode="reflect")
        y = torch.nn.functional.conv2d(y, tensors[f"{place}.weight"], tensors[f"{place}.bias"]).relu()
    torch.testing.assert_close(network.module(found.input.apply(x)), y)
