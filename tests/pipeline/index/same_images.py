"""A few images, as they lie in a folder, and what an index of them must hold however they are packed."""

import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from unitmean.pipeline.index.containers import Container, list_images
from unitmean.pipeline.index.entries import Entry
from unitmean.pipeline.index.index import Index, build_rows_of, load_index, recorded_path, write_index

# The sha256, width and bytes of each image, in the order of the index.
Contents = list[tuple[str, int, bytes]]

COUNT = 7
NAMES = [f"n0000000{n % 3}_{n}.JPEG" for n in range(COUNT)]


def jpeg(n: int) -> bytes:
    pixels = np.random.default_rng(n).integers(0, 256, (9, 8 + n, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


CONTENTS = [jpeg(n) for n in range(COUNT)]


def tar_bytes(numbers: Iterable[int]) -> bytes:
    """A web-dataset shard: each image beside its class and its metadata."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for n in numbers:
            for name, data in ((NAMES[n], CONTENTS[n]), (NAMES[n][:-5] + ".cls", b"3")):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return file.getvalue()


def indexed(parts: Iterable[tuple[Container, Sequence[Entry]]], root: Path) -> tuple[Contents, Index]:
    """Written, read again, and every image read through the index."""
    rows, _ = build_rows_of([(c, e, recorded_path(c, root)) for c, e in parts], seed=0, skip=False)
    write_index(root / "index.parquet", rows)
    index = load_index(root / "index.parquet", root)
    read = index.read_all(index.rows)
    assert read == [index.read(row) for row in index.rows]
    return [(row.sha256, row.width, data) for row, data in zip(index.rows, read, strict=True)], index


def in_a_folder(root: Path) -> Contents:
    """What `indexed` must find: the images as files in the folder `plain`."""
    folder = root / "plain"
    folder.mkdir()
    for name, data in zip(NAMES, CONTENTS, strict=True):
        (folder / name).write_bytes(data)
    return indexed([(folder, list_images(folder))], root)[0]
