"""Pictures for style transfer: read, write, and two that need no download."""

import math
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from unitmean.decode import MAX_PIXELS, UndecodableError, decode_stored, to_rgb
from unitmean.disk.atomic import writing
from unitmean.errors import DataError
from unitmean.style.painting import painting

Picture = Float[Tensor, "1 3 h w"]
JPEG = (".jpg", ".jpeg")


def content_picture(path: Path | None, longer: int, shortest: int = 1) -> Picture:
    """The picture at `path`, or matplotlib's photograph of Grace Hopper; its longer side made `longer`.

    Raises DataError where that leaves its other side fewer than `shortest` pixels.
    """
    image = _open(path or _grace_hopper())
    scale = longer / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    if min(width, height) < shortest:
        raise DataError(
            f"the content picture must keep {shortest} pixels on its shorter side; found {str(path)!r} of "
            f"{image.width}x{image.height}, which becomes {width}x{height}: take a size of at least "
            f"{math.ceil(shortest * max(image.size) / min(image.size))}, or crop the picture"
        )
    return _tensor(image.resize((width, height), Image.Resampling.LANCZOS))


def style_picture(path: Path | None, height: int, width: int, *, seed: int, scale: float = 1.0) -> Picture:
    """The picture at `path`, or a generated painting, cut to the content picture's size times `scale`.

    Gatys et al. resize the style picture to the content picture's size, so that both are seen at one scale.
    """
    image = _open(path) if path else Image.fromarray(painting(seed))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return _tensor(ImageOps.fit(image, size, Image.Resampling.LANCZOS))


def mask_picture(path: Path, height: int, width: int) -> Float[Tensor, "1 1 h w"]:
    """The picture at `path` in grey, 0 to 1, resized to the content's size; DataError if it's all black."""
    image = _open(path).convert("L").resize((width, height), Image.Resampling.BILINEAR)
    if image.getextrema() == (0, 0):
        raise DataError(
            f"a mask must be white where its style goes; found {str(path)!r} all black: paint it, or leave "
            "the style out"
        )
    pixels = torch.from_numpy(np.array(image)).float()
    return pixels[None, None] / 255


def with_colours_of(picture: Picture, content: Picture) -> Picture:
    """The content's colours in the picture's light: Y of one, Cb and Cr of the other (ITU-R BT.601)."""
    luma = torch.tensor([0.299, 0.587, 0.114], device=picture.device).view(1, 3, 1, 1)
    light = ((picture - content) * luma).sum(1, keepdim=True)
    return (content + light).clamp(0, 1)


def write_picture(path: Path, picture: Picture) -> None:
    """Write an 8-bit PNG, or a JPEG where the name says so; values are clipped to [0, 1]."""
    pixels = (picture[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    jpeg = path.suffix.lower() in JPEG
    with writing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="JPEG" if jpeg else "PNG", quality=95)


def _open(path: Path) -> Image.Image:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise DataError(
            f"a picture must be a file, found {found} at {str(path)!r}; name a JPEG or PNG that is there"
        )
    _require_moderate(path)
    try:
        return to_rgb(_upright(decode_stored(path.read_bytes(), path.name)), path.name)
    except (OSError, UndecodableError) as error:
        reason = error.reason if isinstance(error, UndecodableError) else error
        raise DataError(
            f"a picture must be an image that decodes completely, found {str(path)!r}: {reason}; "
            "use a whole JPEG or PNG"
        ) from error


def _require_moderate(path: Path) -> None:
    """DataError for more than MAX_PIXELS pixels; a file that is no picture passes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures, which are refused here
            with Image.open(path) as image:
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise DataError(
            f"a picture must have at most {MAX_PIXELS} pixels; found more at {str(path)!r} ({error}): "
            "make it smaller, as style transfer does anyway"
        ) from error
    except Exception:  # decoding will report it
        return
    if (pixels := width * height) > MAX_PIXELS:
        shrunk = math.sqrt(MAX_PIXELS / pixels)
        raise DataError(
            f"a picture must have at most {MAX_PIXELS} pixels; found {width}x{height} at {str(path)!r}: make "
            f"it at most {math.floor(width * shrunk)}x{math.floor(height * shrunk)}, as with an image viewer"
        )


def _upright(image: Image.Image) -> Image.Image:
    """The picture rotated as its EXIF metadata say; as it is stored where these are damaged."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # on damaged metadata Pillow raises whatever it happens to meet
        return image


def _tensor(image: Image.Image) -> Picture:
    pixels: NDArray[np.float32] = np.asarray(image, dtype=np.float32) / np.float32(255)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


def _grace_hopper() -> Path:
    from matplotlib.cbook import get_sample_data

    return Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))
