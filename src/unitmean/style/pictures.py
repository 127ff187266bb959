"""Pictures for style transfer: read, write, and two that need no download."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from unitmean.decode import UndecodableError, decode_stored, to_rgb
from unitmean.disk.atomic import writing
from unitmean.errors import DataError
from unitmean.style.painting import painting

Picture = Float[Tensor, "1 3 h w"]


def content_picture(path: Path | None, longer: int) -> Picture:
    """The picture at `path`, or matplotlib's photograph of Grace Hopper; its longer side made `longer`."""
    image = _open(path or _grace_hopper())
    scale = longer / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return _tensor(image.resize((width, height), Image.Resampling.LANCZOS))


def style_picture(path: Path | None, height: int, width: int, *, seed: int) -> Picture:
    """The picture at `path`, or a generated painting, cut to the content picture's size.

    Gatys et al. resize the style picture to the content picture's size, so that both are seen at one scale.
    """
    image = _open(path) if path else Image.fromarray(painting(seed))
    return _tensor(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))


def write_picture(path: Path, picture: Picture) -> None:
    """Write an 8-bit PNG; values are clipped to [0, 1]."""
    pixels = (picture[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    with writing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")


def _open(path: Path) -> Image.Image:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise DataError(
            f"a picture must be a file, found {found} at {str(path)!r}; "
            "set transfer.content or transfer.style to a picture, or to null for the default"
        )
    try:
        return to_rgb(_upright(decode_stored(path.read_bytes(), path.name)), path.name)
    except (OSError, UndecodableError) as error:
        reason = error.reason if isinstance(error, UndecodableError) else error
        raise DataError(
            f"a picture must be an image that decodes completely, found {str(path)!r}: {reason}; "
            "use a whole JPEG or PNG"
        ) from error


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its camera was held; as stored where the metadata that would say so are damaged."""
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
