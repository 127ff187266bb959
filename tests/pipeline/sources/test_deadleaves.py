import io
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from unitmean.pipeline.sources.deadleaves import dead_leaves, write_tar


def spectral_slope(pixels: npt.NDArray[np.float64]) -> float:
    """The power spectrum's exponent: natural images have about -2 (log power against log frequency)."""
    size = len(pixels)
    window = np.hanning(size)
    power = np.abs(np.fft.fft2((pixels - pixels.mean()) * window * window[:, None])) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    edges = np.geomspace(3 / size, 0.35, 9)
    bands = [(frequency >= low) & (frequency < high) for low, high in zip(edges, edges[1:], strict=False)]
    centres = np.sqrt(edges[1:] * edges[:-1])
    return float(np.polyfit(np.log(centres), [np.log(power[band].mean()) for band in bands], 1)[0])


def test_same_arguments_give_the_same_image_and_others_another() -> None:
    first = np.asarray(dead_leaves(48, 3, 5))
    assert np.array_equal(first, np.asarray(dead_leaves(48, 3, 5)))
    assert not np.array_equal(first, np.asarray(dead_leaves(48, 3, 6)))
    assert not np.array_equal(first, np.asarray(dead_leaves(48, 4, 5)))


def test_statistics_are_those_of_photographs_and_not_of_noise() -> None:
    images = [np.asarray(dead_leaves(128, 0, i), float) for i in range(8)]
    assert -3.4 < np.mean([spectral_slope(image.mean(2)) for image in images]) < -1.8
    assert (
        abs(spectral_slope(np.random.default_rng(0).normal(size=(128, 128)))) < 0.5
    )  # the measure's control
    pixels = np.stack(images) / 255
    assert np.abs(pixels.mean((0, 1, 2)) - [0.485, 0.456, 0.406]).max() < 0.12
    assert 0.1 < pixels.std((1, 2)).mean() < 0.3
    # Channels of a photograph are strongly correlated and not equal.
    correlation = np.asarray(np.corrcoef(pixels.reshape(-1, 3).T))[np.triu_indices(3, 1)]
    assert correlation.min() > 0.6 and correlation.max() < 0.995


def test_size_of_one_pixel() -> None:
    assert dead_leaves(1, 0, 0).size == (1, 1)


def test_tar_is_plain_numbered_and_repeatable(tmp_path: Path) -> None:
    one, two = tmp_path / "one.tar", tmp_path / "two.tar"
    write_tar(one, 3, 32, 7)
    write_tar(two, 3, 32, 7)
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one, "r:") as tar:
        assert tar.getnames() == [f"generated_{n:08d}.JPEG" for n in (1, 2, 3)]
        assert {(member.mtime, member.uid, member.gid) for member in tar.getmembers()} == {(0, 0, 0)}
        stored = tar.extractfile("generated_00000002.JPEG")
        assert stored is not None
        image = Image.open(io.BytesIO(stored.read()))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (32, 32))
    # JPEG at quality 90 is close to what was drawn.
    difference = np.asarray(image, float) - np.asarray(dead_leaves(32, 7, 1), float)
    assert np.abs(difference).mean() < 12


def test_a_larger_set_begins_with_the_smaller(tmp_path: Path) -> None:
    for count in (2, 4):
        write_tar(tmp_path / f"{count}.tar", count, 16, 0)
    with tarfile.open(tmp_path / "2.tar") as small, tarfile.open(tmp_path / "4.tar") as large:
        for name in small.getnames():
            one, other = small.extractfile(name), large.extractfile(name)
            assert one is not None and other is not None and one.read() == other.read()
