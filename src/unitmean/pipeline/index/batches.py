"""Batches of the images of an index."""

from collections.abc import Generator
from contextlib import closing

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from unitmean.decode import decode
from unitmean.errors import ConfigError
from unitmean.pipeline.disk.ahead import ahead
from unitmean.pipeline.index.index import Index, Row
from unitmean.pipeline.index.preprocess import Preprocessing

Batch = Float32[Tensor, "n 3 h w"]
Pixels = UInt8[Tensor, "n 3 h w"]


def batches(index: Index, preprocessing: Preprocessing, batch_size: int) -> Generator[Batch, None, None]:
    """All images in the index's order, RGB in [0, 1]; the last batch holds what is left.

    Images are read, checked against the index and decoded in threads, ahead of the consumer.
    """
    return _unit_batches(pixel_batches(index, preprocessing, batch_size))


def pixel_batches(
    index: Index, preprocessing: Preprocessing, batch_size: int
) -> Generator[Pixels, None, None]:
    """The same as bytes, a quarter of what must travel to another device."""
    if batch_size < 1:
        raise ConfigError(f"collect.batch_size must be at least 1; found {batch_size!r}: set it, e.g. to 8")
    return _batches(index, preprocessing, batch_size)


def unit(pixels: Pixels) -> Batch:
    """Bytes as numbers in [0, 1]."""
    return pixels.to(torch.float32).div_(255)


def _unit_batches(pixels: Generator[Pixels, None, None]) -> Generator[Batch, None, None]:
    with closing(pixels):
        for batch in pixels:
            yield unit(batch)


def _batches(index: Index, preprocessing: Preprocessing, batch_size: int) -> Generator[Pixels, None, None]:
    def pixels(row: Row) -> UInt8[Tensor, "3 h w"]:
        return preprocessing(decode(index.read(row), row.name))

    with closing(ahead(pixels, index.rows)) as images:
        batch = []
        for image in images:
            batch.append(image)
            if len(batch) == batch_size:
                yield torch.stack(batch)
                batch = []
        if batch:
            yield torch.stack(batch)
