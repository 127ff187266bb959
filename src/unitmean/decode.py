"""From an image file's bytes to 8-bit RGB.

Pixels stay as they are stored: EXIF rotation and colour profiles are ignored, as is usual for ImageNet.
Transparent images lie on white, 16-bit grey is scaled to 8 bits, of animations the first picture is taken.
"""

import io
import re
import warnings
from math import floor

import numpy as np
from PIL import Image, UnidentifiedImageError

from unitmean.errors import DataError, refusing

# Without formats whose decoder runs another program (EPS) or reads other files.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000")
MAX_PIXELS = 1024**3 // 4 // 3  # where Pillow 13 begins to warn of decompression bombs


class UndecodableError(DataError):
    """The bytes of an image don't decode to pixels; `reason` says why without naming the image."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"image {name!r} must decode completely; found: {reason}. Replace or remove it, "
            "or leave such images out with dataset.on_error=skip"
        )
        self.reason = reason


def decode(data: bytes, name: str) -> Image.Image:
    """The RGB image that `data` decodes to; `name` is for UndecodableError."""
    return to_rgb(decode_stored(data, name), name)


def decode_stored(data: bytes, name: str) -> Image.Image:
    """The image in the mode in which it is stored, every pixel decoded; `name` is for UndecodableError."""
    if not data:
        raise UndecodableError(name, "an empty file")
    _silence_pillow()
    with refusing(lambda error: UndecodableError(name, _reason(error))):
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise UndecodableError(name, _too_large(image.width * image.height))
        image.load()
    return image


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """8-bit RGB of an image of any mode; `name` is for UndecodableError."""
    if image.mode == "F":
        raise UndecodableError(name, "floating point pixels, which have no agreed white")
    if image.mode.startswith("I"):
        # Pillow's own conversion clips: all but the darkest 256 of 65536 greys would be white.
        stored = np.asarray(image)
        if stored.min() < 0 or stored.max() > 65535:
            raise UndecodableError(name, "pixels of more than 16 bits, which have no agreed white")
        grey = stored.astype(np.uint32)
        grey *= 255  # in place: of the largest image allowed each copy takes 360 MB
        grey += 32767
        grey //= 65535
        image = Image.fromarray(grey.astype(np.uint8))
    with refusing(lambda error: UndecodableError(name, _reason(error))):
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        found = re.search(r"(\d+) pixels", str(error))
        return _too_large(int(found[1])) if found else str(error)
    if isinstance(error, UnidentifiedImageError):  # whose message holds an address in memory
        return f"no format that is read here ({', '.join(FORMATS)})"
    return str(error).rstrip(".") or type(error).__name__


def _too_large(pixels: int) -> str:
    percent = floor(100 * (MAX_PIXELS / pixels) ** 0.5)
    return (
        f"{pixels:,} pixels, more than the {MAX_PIXELS:,} that are read; "
        f"make its width and height {percent}% of what they are, or less"
    )


def _silence_pillow() -> None:
    """Filter warnings about odd metadata, which is ignored, and about sizes, which are refused here.

    `warnings.catch_warnings` would be tidier but is not safe in threads.
    """
    for category in (UserWarning, Image.DecompressionBombWarning):
        wanted = ("ignore", None, category, re.compile(r"PIL\."), 0)
        if wanted not in warnings.filters:
            warnings.filterwarnings("ignore", category=category, module=r"PIL\.")
