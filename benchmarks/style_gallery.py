"""The pictures of style_study.py: each pair in every network's hand, and all of them side by side."""

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from unitmean.style.pictures import content_picture, style_picture

BAND = 30  # pixels of words above each picture


def gallery(
    ways: Mapping[str, Any],
    descend: Callable[..., tuple[Tensor, dict[str, float]]],
    device: torch.device,
    options: argparse.Namespace,
    ratio: float,
    until: float,
) -> None:
    """Write gallery/<content>_<style>_<network>.jpg and gallery/<content>_<style>.jpg, all in a row."""
    folder = options.out / "gallery"
    folder.mkdir(exist_ok=True)
    for pair in options.gallery:
        names = dict(zip(("content", "style"), pair.split(":"), strict=True))
        paths = {kind: _found(options.pictures / kind, name) for kind, name in names.items()}
        content = content_picture(paths["content"], options.gallery_pixels).to(device)
        style = style_picture(paths["style"], *content.shape[2:], seed=0).to(device)
        tiles = {"content": _image(content), "style": _image(style)}
        for title, way in ways.items():
            if time.perf_counter() > until:
                print(f"no time for {pair}, {title}, and what follows")
                break
            picture, _ = descend(way, content, style, options.gallery_steps, ratio)
            tiles[title] = _image(picture)
        stem = "_".join(names.values())
        for i, (title, image) in enumerate(tiles.items()):
            image.save(folder / f"{stem}_{i}_{_slug(title)}.jpg", quality=92)
        _strip(tiles).save(folder / f"{stem}.jpg", quality=90)


def _strip(tiles: Mapping[str, Image.Image], height: int = 320) -> Image.Image:
    """The pictures in a row, as high as `height`, each under its name."""
    shown = [image.resize((round(image.width * height / image.height), height)) for image in tiles.values()]
    strip = Image.new("RGB", (sum(image.width + 4 for image in shown), height + BAND), "white")
    draw, left = ImageDraw.Draw(strip), 0
    for title, image in zip(tiles, shown, strict=True):
        strip.paste(image, (left, BAND))
        words = title.replace(", ", ",\n", 1)
        draw.multiline_text((left + 2, 2), words, "black", ImageFont.load_default(11), spacing=2)
        left += image.width + 4
    return strip


def _image(picture: Tensor) -> Image.Image:
    pixels = (picture[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(pixels)


def _found(folder: Path, name: str) -> Path:
    (path,) = folder.glob(f"{name}.*")
    return path


def _slug(title: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in title)[:60].strip("_")
