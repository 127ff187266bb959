import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from unitmean.decode import MAX_PIXELS, UndecodableError, decode, decode_stored
from unitmean.errors import DataError


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def photo(size: tuple[int, int] = (40, 30)) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    return Image.fromarray(np.stack([x, y, 255 - x], -1).astype(np.uint8))


def png_of_size(width: int, height: int) -> bytes:
    """A tiny PNG that claims to be large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def test_rgb_is_kept() -> None:
    assert np.array_equal(np.asarray(decode(encode(photo()), "a")), np.asarray(photo()))


def test_a_palette_image_without_its_palette_is_refused() -> None:
    """Found by fuzzing: Pillow asserts that there is one."""
    png = (
        "89504e470d0a1a0a0000000d4948445200000009000000060403000000e3e9a9f60000002d49444154789c630c50d89ab493"
        "497f55e19904868ccb7cba0e8c5f75df39de67bc6d7174a73ccb216fff640db2a9618bc200800000"
    )
    with pytest.raises(UndecodableError, match="must decode completely"):
        decode(bytes.fromhex(png), "a.png")


@pytest.mark.parametrize(("format", "mode"), [("PNG", "L"), ("JPEG", "L"), ("PNG", "1")])
def test_grey_has_three_equal_channels(format: str, mode: str) -> None:
    data = encode(photo().convert(mode), format)
    assert decode_stored(data, "a").mode == mode
    pixels = np.asarray(decode(data, "a"))
    assert pixels.shape == (30, 40, 3)
    assert np.ptp(pixels, axis=2).max() == 0 and pixels.std() > 10


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_scaled_not_clipped(format: str) -> None:
    grey = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    pixels = np.asarray(decode(encode(Image.fromarray(grey), format), "a"))
    assert np.array_equal(pixels[..., 0], np.rint(grey / 257))
    # The control: what Pillow does by itself.
    clipped = np.asarray(Image.fromarray(grey.astype(np.int32)).convert("L"))
    assert (clipped == 255).mean() > 0.99


def test_sixteen_bit_grey_of_the_other_byte_order() -> None:
    grey = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    image = Image.frombytes("I;16B", (32, 32), grey.astype(">u2").tobytes())
    data = encode(image, "TIFF")
    assert decode_stored(data, "a").mode == "I;16B"
    assert np.array_equal(np.asarray(decode(data, "a"))[..., 0], np.rint(grey / 257))


@pytest.mark.parametrize("value", [-1, 65536])
def test_thirty_two_bit_pixels_have_no_white(value: int) -> None:
    data = encode(Image.fromarray(np.full((2, 2), value, np.int32)), "TIFF")
    with pytest.raises(UndecodableError, match="more than 16 bits"):
        decode(data, "a")


def test_floating_point_pixels_have_no_white() -> None:
    with pytest.raises(UndecodableError, match="floating point"):
        decode(encode(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"), "a")


def test_cmyk_jpeg() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    data = encode(image, "JPEG", quality=95)
    assert decode_stored(data, "a").mode == "CMYK"
    assert np.abs(np.asarray(decode(data, "a"), int) - [255, 0, 0]).max() <= 4


def test_palette() -> None:
    data = encode(photo().quantize(64))
    assert decode_stored(data, "a").mode == "P"
    assert np.abs(np.asarray(decode(data, "a"), int) - np.asarray(photo(), int)).mean() < 12


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_lies_on_white(mode: str) -> None:
    image = Image.new(mode, (3, 1), (0,) * len(mode))
    for x, alpha in enumerate((0, 128, 255)):
        image.putpixel((x, 0), (0,) * (len(mode) - 1) + (alpha,))
    assert np.asarray(decode(encode(image), "a"))[0, :, 0].tolist() == [255, 127, 0]


def test_transparent_palette_lies_on_white() -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    # As bytes, which makes Pillow warn when it converts directly.
    pixels = np.asarray(decode(encode(image, transparency=b"\x00\xff"), "a"))
    assert pixels.tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_pixels_stay_as_stored_whatever_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: rotate by 90 degrees
    data = encode(photo(), "JPEG", exif=exif)
    assert decode(data, "a").size == (40, 30)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_truncated_images_are_refused_by_name(format: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8))
    data = encode(noise, format)
    assert decode(data, "whole").size == (64, 64)
    for part in (0.02, 0.5, 0.9):
        with pytest.raises(DataError, match="'cut.jpg' must decode"):
            decode(data[: int(len(data) * part)], "cut.jpg")


def test_other_bytes_are_refused_with_the_same_words_each_time() -> None:
    reasons = set()
    for data in (b"no image at all", b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        with pytest.raises(UndecodableError) as caught:
            decode(data, "a.jpg")
        reasons.add(caught.value.reason)
    assert len(reasons) == 1 and "0x" not in reasons.pop()
    with pytest.raises(UndecodableError, match="an empty file"):
        decode(b"", "a.jpg")


@pytest.mark.parametrize("side", [10_000, 20_000])  # where Pillow warns, where it raises
def test_decompression_bombs_are_refused(side: int) -> None:
    assert side * side > MAX_PIXELS
    with pytest.raises(UndecodableError, match="pixels"):
        decode(png_of_size(side, side), "bomb.png")


def test_odd_metadata_warns_nobody_even_in_threads() -> None:
    # An EXIF directory that promises more than there is.
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x05\x00\x1a\x01\x05\x00\x01\x00\x00\x00\xff\xff\x00\x00"
    plain = encode(photo(), "JPEG")
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[20:]
    with warnings.catch_warnings(record=True) as control:
        warnings.simplefilter("always")
        Image.open(io.BytesIO(data)).getexif()
        assert control
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(2) as pool:
            images = list(pool.map(decode, [data] * 8, ["a"] * 8))
    assert not caught
    assert {image.size for image in images} == {(40, 30)}
