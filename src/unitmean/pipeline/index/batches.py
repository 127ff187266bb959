"""Batches of the images of an index, made ahead of whoever needs them, on a CPU or a GPU.

A few threads read images and check them against the index. On a CPU they decode and resize them too; a GPU
does it in streams of their own, which other threads feed. All threads end with the generator.
"""

import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from unitmean.errors import ConfigError
from unitmean.pipeline.disk.ahead import ahead
from unitmean.pipeline.index.index import Index, Row
from unitmean.pipeline.index.pixels import pixels, pixels_on_gpu
from unitmean.pipeline.index.preprocess import Preprocessing

Batch = Float32[Tensor, "n 3 h w"]
Pixels = UInt8[Tensor, "n 3 h w"]

T = TypeVar("T")

# Threads that read and hash: with more, reading one archive is slower.
READERS = 4
# Threads that decode: TorchCodec releases the interpreter's lock.
DECODERS = min(16, os.cpu_count() or 1)
# Batches on the GPU that wait for the network.
WAITING = 2
# Threads that feed the GPU's decoder, each in a stream of its own. On an H100 that did nothing but decode,
# more of them gained nothing.
FEEDERS = 1


def batches(index: Index, preprocessing: Preprocessing, batch_size: int) -> Generator[Batch, None, None]:
    """All images in the index's order, RGB in [0, 1], on the CPU; the last batch holds what is left."""
    return _unit_batches(pixel_batches(index, preprocessing, batch_size))


def pixel_batches(
    index: Index, preprocessing: Preprocessing, batch_size: int, *, device: str = "cpu", decoder: str = "cpu"
) -> Generator[Pixels, None, None]:
    """The images as bytes, on a device; `decoder` is "cpu" or, where the device is a GPU, "gpu"."""
    if batch_size < 1:
        raise ConfigError(f"collect.batch_size must be at least 1; found {batch_size!r}: set it, e.g. to 8")
    if device == "cpu":
        return _on_cpu(index, preprocessing, batch_size)
    if decoder == "gpu":
        decoded = partial(_decoded, preprocessing, device)
        return _on_gpu(_encoded(index, batch_size), decoded, device)
    return _on_gpu(_images(index, preprocessing, batch_size), partial(_moved, device), device)


def unit(pixels: Pixels) -> Batch:
    """Bytes as numbers in [0, 1]."""
    return pixels.to(torch.float32).div_(255)


def resized(images: Sequence[UInt8[Tensor, "3 _h _w"]], preprocessing: Preprocessing) -> Pixels:
    """Images on one device as a batch; those of equal size are resized together."""
    sizes: dict[torch.Size, list[int]] = {}
    for i, image in enumerate(images):
        sizes.setdefault(image.shape, []).append(i)
    found: dict[int, Tensor] = {}
    for rows in sizes.values():
        found |= zip(rows, preprocessing(torch.stack([images[i] for i in rows])), strict=True)
    # Writing into rows of a batch would wait for the GPU, which has to be told their numbers.
    return torch.stack([found[i] for i in range(len(images))])


def _unit_batches(found: Generator[Pixels, None, None]) -> Generator[Batch, None, None]:
    with closing(found):
        for batch in found:
            yield unit(batch)


def _on_cpu(index: Index, preprocessing: Preprocessing, size: int) -> Generator[Pixels, None, None]:
    for batch in _images(index, preprocessing, size):
        yield torch.stack(batch)


def _on_gpu(
    source: Generator[T, None, None], make: Callable[[T], Pixels], device: str
) -> Generator[Pixels, None, None]:
    """`make(item)` for each item of `source`, in a CUDA stream a thread and ahead of the network."""
    own = threading.local()

    def work(item: T) -> tuple[Pixels, torch.cuda.Event]:
        if not hasattr(own, "stream"):
            own.stream = torch.cuda.Stream(device)
        with torch.cuda.stream(own.stream):
            batch = make(item)
            return batch, own.stream.record_event()

    results = ahead(work, source, threads=FEEDERS, depth=WAITING)
    with closing(source), closing(results):
        for batch, event in results:
            current = torch.cuda.current_stream(device)
            current.wait_event(event)
            batch.record_stream(current)  # its memory is not given away before the network is done with it
            yield batch


def _decoded(preprocessing: Preprocessing, device: str, encoded: list[tuple[bytes, Row]]) -> Pixels:
    return resized(pixels_on_gpu(encoded, device), preprocessing)


def _moved(device: str, images: list[UInt8[Tensor, "3 h w"]]) -> Pixels:
    """The images as a batch on the GPU, copied through pinned memory, which it reads by itself.

    NumPy stacks them, as torch would occupy its pool of threads.
    """
    batch = torch.empty(len(images), *images[0].shape, dtype=torch.uint8, pin_memory=True)
    np.stack([image.numpy() for image in images], out=batch.numpy())
    return batch.to(device, non_blocking=True)


def _encoded(index: Index, size: int) -> Generator[list[tuple[bytes, Row]], None, None]:
    """Batches of images as they are stored, each with its row."""

    def read(rows: Sequence[Row]) -> list[tuple[bytes, Row]]:
        return list(zip(index.read_all(rows), rows, strict=True))

    parts = [index.rows[i : i + size] for i in range(0, len(index), size)]
    return ahead(read, parts, threads=READERS, depth=READERS)


def _images(
    index: Index, preprocessing: Preprocessing, size: int
) -> Generator[list[UInt8[Tensor, "3 h w"]], None, None]:
    """Lists of images, decoded and resized on the CPU."""

    def image(row: Row) -> UInt8[Tensor, "3 h w"]:
        return preprocessing(pixels(index.read(row), row.name))

    with closing(ahead(image, index.rows, threads=DECODERS)) as images:
        batch = []
        for found in images:
            batch.append(found)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch
