"""From the bytes of images to pixels in a tensor: JPEGs by TorchCodec, all else by Pillow.

On a CPU TorchCodec gives Pillow's pixels bit for bit, and releases the interpreter's lock meanwhile.
On a GPU it decodes by nvJPEG, whose pixels differ by a tenth of a grey level on average.
"""

import warnings
from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import UInt8
from torch import Tensor
from torchcodec.decoders import decode_jpeg
from torchvision.transforms.v2.functional import pil_to_tensor

from unitmean.decode import decode
from unitmean.errors import ConfigError
from unitmean.pipeline.index.index import Row

Pixels = UInt8[Tensor, "3 _h _w"]

# Pillow's modes of the JPEGs that are given to nvJPEG, which takes no CMYK.
ON_GPU = ("RGB", "L")
# How a JPEG begins, and the second bytes of its markers (ITU-T T.81, table B.1).
START = b"\xff\xd8\xff"
SCAN, APP1, APP15, RESTARTS_TO_END = 0xDA, 0xE1, 0xEF, range(0xD0, 0xDA)

with warnings.catch_warnings():
    # torch warns, once a process, of tensors over bytes that must not be written. TorchCodec only reads.
    warnings.simplefilter("ignore")
    torch.frombuffer(b"read", dtype=torch.uint8)


def choose_decoder(name: str, device: str) -> str:
    """The decoder "gpu" or "cpu"; "auto" is "gpu" where there is a GPU. ConfigError for "gpu" without one."""
    if name == "gpu" and device != "cuda":
        raise ConfigError(
            f"collect.decoder=gpu needs a GPU; found runtime.device={device}: use collect.decoder=cpu"
        )
    return ("gpu" if device == "cuda" else "cpu") if name == "auto" else name


def pixels(data: bytes, name: str) -> Pixels:
    """The image that `data` holds, as Pillow decodes it; `name` is for UndecodableError."""
    jpeg = as_stored(data)
    if jpeg is not None:
        try:
            return cast(Tensor, decode_jpeg(jpeg, mode="RGB"))
        except RuntimeError:
            pass  # Pillow decodes some more files, and raises UndecodableError for the others
    return cast(Tensor, pil_to_tensor(decode(data, name)))


def pixels_on_gpu(images: Sequence[tuple[bytes, Row]], device: str) -> list[Pixels]:
    """Images of an index decoded on a GPU: the JPEGs together, on the CPU what nvJPEG can't take."""
    jpegs = {
        i: jpeg
        for i, (data, row) in enumerate(images)
        if row.mode in ON_GPU and (jpeg := as_stored(data)) is not None
    }
    decoded = dict(zip(jpegs, _by_nvjpeg(list(jpegs.values()), device), strict=True))
    found = []
    for i, (data, row) in enumerate(images):
        image = decoded.get(i)
        if image is None or image.shape != (3, row.height, row.width):
            image = pixels(data, row.name).to(device)
        found.append(image)
    return found


def as_stored(data: bytes) -> UInt8[Tensor, " _"] | None:
    """A JPEG without the EXIF by which TorchCodec would turn it; None for another format or odd markers.

    Shares memory with `data` where there is nothing to change. Of each APP1 segment, which may hold EXIF, the
    marker becomes APP15's, which decoders pass over.
    """
    if not data.startswith(START):
        return None
    place, exif = 2, list[int]()
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == SCAN:
            return torch.frombuffer(_with(data, exif, APP15) if exif else data, dtype=torch.uint8)
        if marker in RESTARTS_TO_END or marker in (0x00, 0x01, 0xFF):
            return None
        if marker == APP1:
            exif.append(place + 1)
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def _with(data: bytes, places: Sequence[int], value: int) -> bytearray:
    """A copy with one value at these places."""
    changed = bytearray(data)
    for place in places:
        changed[place] = value
    return changed


def _by_nvjpeg(encoded: list[UInt8[Tensor, " _"]], device: str) -> list[Pixels | None]:
    """The images, None for those that nvJPEG refuses; if it refuses any, each is decoded by itself."""
    if not encoded:
        return []
    try:
        return list(decode_jpeg(encoded, mode="RGB", device=device))
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError:
        return [None] if len(encoded) == 1 else [_by_nvjpeg([data], device)[0] for data in encoded]
