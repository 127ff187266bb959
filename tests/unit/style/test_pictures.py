"""Pictures in and out, and the two that need no download."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from unitmean.errors import DataError
from unitmean.style.painting import painting
from unitmean.style.pictures import content_picture, style_picture, with_colours_of, write_picture


def save(path: Path, array: npt.NDArray[np.unsignedinteger], **options: Any) -> Path:
    Image.fromarray(np.asarray(array)).save(path, **options)
    return path


def test_default_content_is_a_photograph() -> None:
    picture = content_picture(None, 48)
    assert picture.shape == (1, 3, 48, 41)
    assert picture.dtype == torch.float32
    assert 0 <= picture.min() < 0.1 and 0.9 < picture.max() <= 1


def test_default_style_fits_the_content() -> None:
    picture = style_picture(None, 20, 31, seed=0)
    assert picture.shape == (1, 3, 20, 31)
    assert picture.std() > 0.15  # many colours


def test_painting_depends_on_the_seed_alone() -> None:
    first = painting(3, size=64)
    assert first.shape == (64, 64, 3)
    assert np.array_equal(first, painting(3, size=64))
    assert not np.array_equal(first, painting(4, size=64))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    picture = torch.randint(0, 256, (1, 3, 9, 12)) / 255
    write_picture(tmp_path / "p.png", picture)
    assert torch.equal(content_picture(tmp_path / "p.png", 12), picture)


def test_values_outside_are_clipped(tmp_path: Path) -> None:
    write_picture(tmp_path / "p.png", torch.tensor([-0.5, 0.5, 7.0]).view(1, 3, 1, 1))
    assert np.asarray(Image.open(tmp_path / "p.png")).tolist() == [[[0, 128, 255]]]


def test_style_is_cut_not_squeezed(tmp_path: Path) -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255  # the middle third is all that a square keeps
    path = save(tmp_path / "wide.png", wide)
    assert style_picture(path, 10, 10, seed=0).min() > 0.9


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((4, 4), 51, np.uint8), [0.2, 0.2, 0.2]),  # greyscale
        (np.full((4, 4), 13107, np.uint16), [0.2, 0.2, 0.2]),  # 16 bits
        (np.full((4, 4, 4), [0, 0, 0, 0], np.uint8), [1, 1, 1]),  # transparent: white
    ],
)
def test_other_modes_become_rgb(
    tmp_path: Path, array: npt.NDArray[np.unsignedinteger], expected: list[float]
) -> None:
    picture = content_picture(save(tmp_path / "p.png", array), 4)
    torch.testing.assert_close(picture[0, :, 1, 1], torch.tensor(expected, dtype=torch.float32))


def test_orientation_is_heeded(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera on its side
    path = save(tmp_path / "p.jpg", np.zeros((4, 8, 3), np.uint8), exif=exif)
    assert content_picture(path, 8).shape == (1, 3, 8, 4)


@pytest.mark.parametrize("what", ["missing", "folder", "text", "truncated"])
def test_what_is_no_picture_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "p.png"
    if what == "folder":
        path.mkdir()
    elif what == "text":
        path.write_text("not a picture")
    elif what == "truncated":
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        path.write_bytes(save(tmp_path / "whole.png", noise).read_bytes()[:4000])
    with pytest.raises(DataError, match="p.png"):
        content_picture(path, 8)
    with pytest.raises(DataError, match="p.png"):
        style_picture(path, 8, 8, seed=0)


def test_the_contents_colours_in_the_results_light() -> None:
    generator = torch.Generator().manual_seed(0)
    result, content = (torch.rand(1, 3, 6, 5, generator=generator) / 4 + 0.4 for _ in range(2))
    found = with_colours_of(result, content)
    luma = torch.tensor([0.299, 0.587, 0.114])
    torch.testing.assert_close(found[0].permute(1, 2, 0) @ luma, result[0].permute(1, 2, 0) @ luma)
    shift = found - content
    torch.testing.assert_close(shift[:, :1].expand_as(shift), shift)  # grey: no colour is added
