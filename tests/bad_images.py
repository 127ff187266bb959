"""Images, broken and odd, as files of a data set and as pictures for style transfer."""

import functools
import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from bad_case import Case
from PIL import Image

from unitmean.decode import decode

COMMAND = "index_images dataset=folder dataset.path=images dataset.name=odd"
STYLISE = "unitmean stylise picture.jpg picture.jpg --out out.png --weights vgg11"
INDEX = "data/odd/images/index.parquet"


def noise(width: int = 48, height: int = 32) -> Image.Image:
    pixels = np.random.default_rng(0).integers(256, size=(height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def flat(color: tuple[int, ...] | int, mode: str = "RGB", size: tuple[int, int] = (16, 8)) -> Image.Image:
    return Image.new(mode, size, color)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def bomb(side: int = 20_000) -> bytes:
    """A PNG of some 60 bytes that claims side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def animated(format: str) -> bytes:
    frames = [flat((250, 0, 0)), flat((0, 0, 250))]
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=100)


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: rotate by 90 degrees
    return encoded(flat((9, 9, 9)), "JPEG", exif=exif)


def transparent() -> bytes:
    return encoded(flat((0, 0, 0, 128), "RGBA"))


def sixteen() -> bytes:
    return encoded(Image.fromarray(np.full((8, 16), 128 * 257, np.uint16)))


def put(name: str, data: Callable[[], bytes] | bytes) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data() if callable(data) else data)

    return make


def refused(what: str, data: Callable[[], bytes] | bytes, outcome: str, name: str = "a.jpg") -> Case:
    return Case(what, put(f"images/{name}", data), COMMAND, outcome)


def taken(
    what: str,
    data: Callable[[], bytes],
    outcome: str,
    mode: str,
    color: tuple[int, int, int] | None,
    *,
    size: tuple[int, int] = (16, 8),
    name: str = "a.png",
) -> Case:
    """Accepted: indexed with this mode and size, and its first pixel is this colour, up to 4 of 255."""

    def check(folder: Path) -> None:
        (row,) = pq.read_table(folder / INDEX).to_pylist()
        assert (row["mode"], row["width"], row["height"]) == (mode, *size)
        image = decode((folder / "images" / name).read_bytes(), name)
        assert image.mode == "RGB" and image.size == size
        pixel = np.asarray(image)[0, 0].astype(int)
        assert color is None or np.abs(pixel - color).max() <= 4, pixel

    return Case(what, put(f"images/{name}", data), COMMAND, outcome, check=check)


def one_bad(folder: Path) -> None:
    put("images/good.png", encoded(noise()))(folder)
    put("images/bad.jpg", b"no image")(folder)


def skipped(folder: Path) -> None:
    assert [row["name"] for row in pq.read_table(folder / INDEX).to_pylist()] == ["good.png"]
    assert 'bad.jpg,"no format' in (folder / "data/odd/images/skipped.csv").read_text()


def text_beside(folder: Path) -> None:
    put("images/good.png", encoded(noise()))(folder)
    for name in ("a.txt", "b.txt", ".DS_Store"):
        put(f"images/{name}", b"words")(folder)


def left_out(folder: Path) -> None:
    assert [row["name"] for row in pq.read_table(folder / INDEX).to_pylist()] == ["good.png"]
    found = (folder / "data/odd/images/left_out.csv").read_text()
    assert ".txt,2,a.txt\n" in found and ",1,.DS_Store\n" in found
    assert (folder / "data/odd/images/skipped.csv").read_text() == "name,reason\n"


def dangling(folder: Path) -> None:
    (folder / "images").mkdir()
    (folder / "images" / "a.jpg").symlink_to(folder / "nowhere")


def cut(format: str) -> bytes:
    data = encoded(noise(), format)
    return data[: len(data) // 2]


RED = (250, 0, 0)
IMAGES = [
    *(refused(f"{f}, cut in half", functools.partial(cut, f), "must decode completely")
      for f in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")),
    refused("zero bytes", b"", "an empty file"),
    refused("text named .jpg", b"no image", "no format that is read here"),
    refused("a web page named .jpg", b"<!doctype html><html>", "no format that is read here"),
    refused("EPS named .jpg, which would run a program", b"%!PS-Adobe-3.0 EPSF-3.0\n", "no format"),
    refused("PNG of 57 bytes that claims 20,000x20,000 pixels", bomb,
            "400,000,000 pixels.*width and height 47% of what they are"),
    refused("32-bit whole numbers",
            lambda: encoded(Image.fromarray(np.full((2, 2), 1 << 20, np.int32)), "TIFF"),
            "more than 16 bits", "a.tif"),
    refused("floating point", lambda: encoded(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"),
            "floating point pixels", "a.tif"),
    Case("no folder", lambda folder: None, COMMAND, "found nothing at"),
    Case("an empty folder", lambda folder: (folder / "images").mkdir(), COMMAND, "no file at all"),
    Case("a folder without images", put("images/a.txt", b"?"), COMMAND, "found none in .* but 1 .txt"),
    Case("a broken link", dangling, COMMAND, "a broken link"),
    Case("one image among good ones that doesn't decode", one_bad, COMMAND,
         "left out, and listed with the reason in skipped.csv", ("dataset.on_error=skip",), skipped),
    taken("PNG named .jpg", lambda: encoded(flat(RED)), "read as what it is", "RGB", RED, name="a.jpg"),
    taken("GIF", lambda: encoded(flat(RED), "GIF"), "read", "P", RED, name="a.gif"),
    taken("WebP", lambda: encoded(flat(RED), "WEBP", lossless=True), "read", "RGB", RED, name="a.webp"),
    taken("BMP", lambda: encoded(flat(RED), "BMP"), "read", "RGB", RED, name="a.bmp"),
    taken("CMYK JPEG", lambda: encoded(flat((0, 255, 255, 0), "CMYK"), "JPEG", quality=95),
          "converted to RGB, without a colour profile", "CMYK", (255, 0, 0), name="a.jpg"),
    taken("greyscale", lambda: encoded(flat(77, "L")), "three equal channels", "L", (77, 77, 77)),
    taken("black and white", lambda: encoded(flat(1, "1")), "three equal channels", "1", (255, 255, 255)),
    taken("16-bit greyscale", sixteen, "scaled to 8 bits, not clipped", "I;16", (128, 128, 128)),
    taken("palette", lambda: encoded(flat(RED).quantize(4)), "looked up", "P", RED),
    taken("alpha", transparent, "laid on white", "RGBA", (127, 127, 127)),
    taken("JPEG with EXIF rotation", rotated, "pixels stay as stored", "RGB", (9, 9, 9), name="a.jpg"),
    taken("AVIF", lambda: encoded(flat(RED), "AVIF"), "read", "RGB", RED, name="a.avif"),
    taken("JPEG 2000", lambda: encoded(flat(RED), "JPEG2000"), "read", "RGB", RED, name="a.jp2"),
    taken("JPEG named .jfif", lambda: encoded(flat(RED), "JPEG"), "read", "RGB", None, name="a.jfif"),
    taken("JPEG without a suffix", lambda: encoded(flat(RED), "JPEG"), "read, by its first bytes", "RGB",
          None, name="photo"),
    taken("a name that isn't UTF-8", lambda: encoded(flat(RED)), "read; the name stands as `caf\\xe9.png`",
          "RGB", RED, name=os.fsdecode(b"caf\xe9.png")),
    Case("text beside images", text_beside, COMMAND,
         "left out, counted on the console and listed in left_out.csv", check=left_out),
    taken("1x1 pixel", lambda: encoded(flat(RED, size=(1, 1))), "read; preprocessing enlarges it", "RGB",
          RED, size=(1, 1)),
    taken("animated GIF", lambda: animated("GIF"), "its first picture", "P", RED, name="a.gif"),
    taken("animated WebP", lambda: animated("WEBP"), "its first picture", "RGB", None, name="a.webp"),
]  # fmt: skip
PICTURES = [
    Case("no file", lambda folder: None, STYLISE, "found nothing at"),
    Case("a folder", lambda folder: (folder / "picture.jpg").mkdir(), STYLISE, "found a folder"),
    Case("zero bytes", put("picture.jpg", b""), STYLISE, "an empty file"),
    Case("JPEG, cut in half", put("picture.jpg", functools.partial(cut, "JPEG")), STYLISE, "truncated"),
    Case("text", put("picture.jpg", b"no image"), STYLISE, "no format that is read here"),
    Case("EPS, which would run a program", put("picture.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n"), STYLISE,
         "no format that is read here"),
    Case("PNG that claims 20,000x20,000 pixels", put("picture.jpg", bomb), STYLISE, "at most 89478485"),
    Case("floating point", put("picture.jpg", lambda: encoded(
        Image.fromarray(np.ones((2, 2), np.float32)), "TIFF")), STYLISE, "floating point pixels"),
]  # fmt: skip
