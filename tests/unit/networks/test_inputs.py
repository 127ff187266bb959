"""Pixels as networks eat them."""

import json

import pytest
import torch
from torchvision.transforms.functional import normalize

from unitmean.errors import DataError, WeightsError
from unitmean.networks.inputs import CAFFE, TORCHVISION, Input, require_images


def test_torchvision_is_torchvisions_normalize() -> None:
    x = torch.rand(2, 3, 4, 5)
    expected = normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    torch.testing.assert_close(TORCHVISION.apply(x), expected)


def test_caffe_is_blue_first_in_bytes_less_the_mean() -> None:
    pixel = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)
    blue, green, red = CAFFE.apply(pixel).flatten().tolist()
    assert (blue, green, red) == pytest.approx((-103.939, 127.5 - 116.779, 255 - 123.68), rel=1e-6)


def test_dtype_is_kept() -> None:
    assert CAFFE.apply(torch.rand(1, 3, 2, 2, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("input", [TORCHVISION, CAFFE])
def test_survives_json(input: Input) -> None:
    assert Input.from_dict(json.loads(json.dumps(input.to_dict()))) == input


@pytest.mark.parametrize(
    "change", [{"order": "gbr"}, {"mean": [0, 0]}, {"std": [1, 1, 0]}, {"scale": "x"}, {"mean": None}]
)
def test_a_wrong_dict_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(WeightsError, match="must have order"):
        Input.from_dict(CAFFE.to_dict() | change)


def test_a_dict_without_a_field_is_refused() -> None:
    with pytest.raises(WeightsError, match="must have order"):
        Input.from_dict({"order": "rgb"})


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "found torch.uint8 of 1 x 3 x 32 x 32: convert them"),
        (torch.zeros(3, 32, 32), "found torch.float32 of 3 x 32 x 32"),
        (torch.zeros(1, 1, 32, 32), "found torch.float32 of 1 x 1 x 32 x 32"),
        (torch.zeros(1, 32, 32, 3), "found torch.float32 of 1 x 32 x 32 x 3"),
        (torch.zeros(1, 3, 32, 32).double(), "of the network's type, torch.float32; found torch.float64"),
        ("a.jpg", "found str"),
    ],
)
def test_what_is_no_picture_is_refused(image: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        require_images(image, torch.float32)


def test_pictures_pass() -> None:
    require_images(torch.zeros(2, 3, 32, 40), torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        require_images(torch.zeros(2, 3, 32, 40).bfloat16(), torch.float32)
