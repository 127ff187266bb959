"""TorchCodec's pixels are Pillow's, bit for bit, for every kind of JPEG; what it refuses goes to Pillow."""

import io
import random
from typing import Any, Literal

import numpy as np
import pytest
import torch
from nightly.fuzz.mutations import mutate
from PIL import Image
from torch import Tensor
from torchcodec.decoders import decode_jpeg
from torchvision.transforms.v2.functional import pil_to_tensor

from unitmean.decode import UndecodableError, decode
from unitmean.errors import ConfigError
from unitmean.pipeline.index import pixels as module
from unitmean.pipeline.index.index import Row
from unitmean.pipeline.index.pixels import as_stored, choose_decoder, pixels, pixels_on_gpu

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "grey": {"mode": "L"},
    "CMYK": {"mode": "CMYK"},
    "progressive": {"progressive": True},
    "progressive grey": {"mode": "L", "progressive": True},
    "progressive CMYK": {"mode": "CMYK", "progressive": True},
    "full colour": {"subsampling": "4:4:4"},
    "half colour": {"subsampling": "4:2:2"},
    "quarter colour": {"subsampling": "4:1:1"},
    "RGB": {"keep_rgb": True},
    "restarts": {"restart_marker_blocks": 2},
    "coarse": {"quality": 5},
    "fine": {"quality": 100},
    "own tables": {"optimize": True},
    "a colour profile": {"icc_profile": bytes(range(256)) * 400},
    "a comment": {"comment": b"words"},
}


def photo(width: int = 61, height: int = 43, mode: str = "RGB") -> Image.Image:
    coarse = np.random.default_rng(0).integers(256, size=(7, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def jpeg(width: int = 61, height: int = 43, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    photo(width, height, mode).save(file, "JPEG", **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112], found[0x010E] = orientation, "words"
    return found


def by_pillow(data: bytes) -> Tensor:
    found: Tensor = pil_to_tensor(decode(data, "a"))
    return found


def by_torchcodec(data: bytes) -> Tensor:
    stored = as_stored(data)
    assert stored is not None
    found = decode_jpeg(stored, mode="RGB")
    assert isinstance(found, Tensor)
    return found


def row(data: bytes, mode: str = "RGB", size: tuple[int, int] = (61, 43)) -> Row:
    return Row("a", "a.jpg", None, len(data), "0" * 64, *size, mode, None)


@pytest.mark.parametrize("size", [(61, 43), (1, 1), (8, 200)])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_jpeg(kind: str, size: tuple[int, int]) -> None:
    data = jpeg(*size, **KINDS[kind])
    assert torch.equal(by_torchcodec(data), by_pillow(data))
    assert torch.equal(pixels(data, "a"), by_pillow(data))


@pytest.mark.parametrize("orientation", range(9))
def test_exif_turns_nothing(orientation: int) -> None:
    data = jpeg(exif=exif(orientation))
    if orientation == 6:  # the control: TorchCodec by itself turns it
        turned = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        assert isinstance(turned, Tensor) and turned.shape == (3, 61, 43)
    before = data.hex()
    assert torch.equal(by_torchcodec(data), by_pillow(data))
    assert data.hex() == before  # TorchCodec reads the very bytes where there is no EXIF to pass over


@pytest.mark.parametrize("format", ["PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_other_formats_are_pillows(format: str) -> None:
    file = io.BytesIO()
    photo().save(file, format)
    assert as_stored(file.getvalue()) is None
    assert torch.equal(pixels(file.getvalue(), "a"), by_pillow(file.getvalue()))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_jpegs_are_refused_in_pillows_words(share: float) -> None:
    data = jpeg(quality=95)
    cut = data[: int(len(data) * share)]
    with pytest.raises(UndecodableError) as pillows:
        decode(cut, "a")
    with pytest.raises(UndecodableError) as found:
        pixels(cut, "a")
    assert str(found.value) == str(pillows.value)


def test_damaged_jpegs_come_to_what_pillow_makes_of_them(capfd: pytest.CaptureFixture[str]) -> None:
    seeds = [jpeg(**options) for options in KINDS.values()] + [jpeg(exif=exif(n)) for n in (1, 3, 6, 8)]
    rng, decoded = random.Random(0), 0
    for _ in range(600):
        data = mutate(rng, seeds)
        try:
            wanted = by_pillow(data)
        except UndecodableError:
            with pytest.raises(UndecodableError):
                pixels(data, "a")
        else:
            assert torch.equal(pixels(data, "a"), wanted), data.hex()
            decoded += 1
    assert 60 < decoded < 540
    capfd.readouterr()  # libjpeg's remarks on what is damaged


def test_what_a_gpu_cannot_take_is_decoded_on_the_cpu_image_by_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """nvJPEG is played by the CPU's decoder, which refuses one image and turns another."""
    good, refused, turned = jpeg(quality=90), jpeg(quality=60), jpeg(quality=70)
    cmyk, png = jpeg(mode="CMYK"), io.BytesIO()
    photo().save(png, "PNG")
    unsupported, sideways = as_stored(refused), as_stored(turned)
    assert unsupported is not None and sideways is not None
    calls: list[int] = []

    def nvjpeg(
        sources: Tensor | list[Tensor], *, mode: Literal["RGB"], device: str = "cpu"
    ) -> Tensor | list[Tensor]:
        if not isinstance(sources, list):
            return decode_jpeg(sources, mode=mode)
        calls.append(len(sources))
        if any(torch.equal(source, unsupported) for source in sources):
            raise RuntimeError("nvJPEG: unsupported")
        return [
            image.transpose(1, 2) if torch.equal(source, sideways) else image ^ 1
            for source, image in zip(sources, decode_jpeg(sources, mode=mode), strict=True)
        ]

    monkeypatch.setattr(module, "decode_jpeg", nvjpeg)
    images = [(good, "RGB"), (cmyk, "CMYK"), (refused, "RGB"), (png.getvalue(), "RGB"), (turned, "RGB")]
    found = pixels_on_gpu([(data, row(data, mode)) for data, mode in images], "cpu")
    assert calls == [3, 1, 1, 1]  # together, and then each alone
    assert torch.equal(found[0], by_pillow(good) ^ 1)  # as the GPU gave it
    for image, (data, _) in list(zip(found, images, strict=True))[1:]:
        assert torch.equal(image, by_pillow(data))


def test_the_decoder_follows_the_device() -> None:
    assert [choose_decoder("auto", device) for device in ("cpu", "cuda")] == ["cpu", "gpu"]
    assert choose_decoder("cpu", "cuda") == "cpu" and choose_decoder("gpu", "cuda") == "gpu"
    with pytest.raises(ConfigError, match="collect.decoder=gpu needs a GPU; found runtime.device=cpu"):
        choose_decoder("gpu", "cpu")
