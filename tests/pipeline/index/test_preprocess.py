import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from unitmean.errors import ConfigError
from unitmean.pipeline.index.preprocess import Preprocessing


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(256, size=(7, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def test_warp_is_pillows_antialiased_bilinear_resize() -> None:
    image = photo(93, 61)
    found = Preprocessing("warp", 32)(pixels(image))
    assert (found.shape, found.dtype) == ((3, 32, 32), torch.uint8)
    wanted = pixels(image.resize((32, 32), Image.Resampling.BILINEAR))
    assert (found.int() - wanted.int()).abs().max() <= 1


def test_antialias_can_be_switched_off() -> None:
    # Stripes of one pixel: antialiased grey, else black and white.
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (64, 32))).convert("RGB")
    smooth, rough = (
        Preprocessing("warp", 21, antialias=antialias)(pixels(stripes)) for antialias in (True, False)
    )
    assert smooth.float().std() < 20 < 60 < rough.float().std()


@pytest.mark.parametrize(("width", "height"), [(93, 61), (61, 93), (50, 50), (500, 375), (20, 31)])
def test_shorter_side_and_crop_are_torchvisions(width: int, height: int) -> None:
    image = photo(width, height)
    reference = v2.Compose([v2.Resize(40), v2.CenterCrop(33)])
    wanted = pixels(reference(image))
    found = Preprocessing("shorter", 40, 33)(pixels(image))
    assert found.shape == (3, 33, 33)
    assert (found.int() - wanted.int()).abs().max() <= 1


def test_warp_and_crop() -> None:
    image = photo(50, 90)
    whole = Preprocessing("warp", 20)(pixels(image))
    assert torch.equal(Preprocessing("warp", 20, 10)(pixels(image)), whole[:, 5:15, 5:15])


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("stretch", 10), "preprocess.resize must be warp or shorter; found 'stretch'"),
        (("warp", 0), "preprocess.pixels must be at least 1"),
        (("warp", 10, 0), "preprocess.crop must be at least 1"),
        (("warp", 10, 11), "preprocess.crop must fit .* 10 pixels; found 11"),
        (("shorter", 10), "preprocess.crop=null"),
    ],
)
def test_what_can_not_be_done_is_refused(
    arguments: tuple[str, int] | tuple[str, int, int], found: str
) -> None:
    with pytest.raises(ConfigError, match=found):
        Preprocessing(*arguments)
