"""The readers of files that users bring, each with valid files to start from.

A reader takes a path; only UnitmeanError may come out of it.
"""

import io
import re
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from safetensors.torch import save

from unitmean.decode import decode
from unitmean.errors import UnitmeanError
from unitmean.layouts.files import load_weights, read_tensors, save_weights
from unitmean.layouts.reading import canonical
from unitmean.pipeline.disk.frames import read_parquet, write_parquet
from unitmean.pipeline.index.containers import list_images, read_bytes
from unitmean.pipeline.index.index import SCHEMA, load_index, write_index
from unitmean.pipeline.index.labels import Labels
from unitmean.pipeline.index.pixels import pixels
from unitmean.pipeline.index.tables import _group, _layout
from unitmean.pipeline.index.zips import _opened
from unitmean.pipeline.rescale.statistics import COLUMNS
from unitmean.style.pictures import content_picture


@dataclass(frozen=True)
class Reader:
    """`read` what lies at a path whose name ends in `suffix`; `seeds` makes valid files."""

    suffix: str
    read: Callable[[Path], object]
    seeds: Callable[[], list[bytes]]


def attempt(reader: Reader, path: Path, data: bytes) -> bool:
    """Whether the reader takes the data; anything but a UnitmeanError comes out."""
    path.write_bytes(data)
    try:
        # The warnings of libraries about damaged files are none of ours.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader.read(path)
    except UnitmeanError:
        return False
    return True


def images() -> list[bytes]:
    """One of each format and mode that is read, small: little of each file is pixels."""
    photo = Image.fromarray(np.random.default_rng(0).integers(256, size=(6, 9, 3), dtype=np.uint8))
    grey = Image.fromarray(np.arange(54, dtype=np.uint16).reshape(6, 9) * 1000)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "words"
    formats = ("PNG", "GIF", "BMP", "TIFF", "PPM", "WEBP", "AVIF", "JPEG2000")
    kinds: list[tuple[Image.Image, str, dict[str, Any]]] = [(photo, format, {}) for format in formats]
    kinds += [(photo, "JPEG", {"exif": exif}), (photo, "JPEG", {"progressive": True})]
    kinds += [(photo.convert("CMYK"), "JPEG", {}), (photo.convert("RGBA"), "PNG", {"exif": exif})]
    kinds += [(photo.quantize(16), "PNG", {"transparency": b"\0\x80"}), (grey, "PNG", {}), (grey, "TIFF", {})]
    kinds += [(photo, "TIFF", {"compression": "tiff_lzw", "exif": exif}), (photo.convert("1"), "PPM", {})]
    kinds += [(photo, "GIF", {"save_all": True, "append_images": [photo.rotate(180)]})]
    found = []
    for image, format, options in kinds:
        file = io.BytesIO()
        image.save(file, format, **options)
        found.append(file.getvalue())
    return found


def tars() -> list[bytes]:
    found = []
    for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=format) as tar:
            for name in ("a.png", "n01440764/" + "x" * 80 + "é.jpg", "notes.txt"):
                info = tarfile.TarInfo(name)
                info.size, info.mtime = 5, 1.5 if format == tarfile.PAX_FORMAT else 1
                tar.addfile(info, io.BytesIO(b"image"))
        data = file.getvalue().rstrip(b"\0")  # most of the padding is left out
        found.append(data.ljust((len(data) // 512 + 2) * 512, b"\0"))
    return found


def zip_files() -> list[bytes]:
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for name in ("a.png", "n01440764/é.jpg", "notes", "__MACOSX/._a.png"):
                archive.writestr(zipfile.ZipInfo(name), b"image" * 20, method)
        found.append(file.getvalue())
    return found


def tables() -> list[bytes]:
    cells = [{"bytes": b"image", "path": "a.png"}, {"bytes": b"other", "path": None}, None]
    found = []
    for column in (pa.array(cells), pa.array([b"image", None, b"other"])):
        for compression in ("none", "snappy"):
            file = io.BytesIO()
            table = pa.table({"image": column, "label": pa.array([1, 2, 3])})
            pq.write_table(table, file, row_group_size=2, compression=compression)
            found.append(file.getvalue())
    return found


def state() -> dict[str, torch.Tensor]:
    return {"a.weight": torch.ones(2, 3), "a.bias": torch.ones(2, dtype=torch.float16), "n": torch.tensor(7)}


def pickles() -> list[bytes]:
    found = []
    for zipped in (True, False):
        file = io.BytesIO()
        torch.save(state(), file, _use_new_zipfile_serialization=zipped)
        found.append(file.getvalue())
    return found


def checkpoints() -> list[bytes]:
    """What training code keeps: dicts in dicts, wrappers' names, an averaged copy, another head."""
    inside = {
        f"{name}.{kind}": torch.ones(2, 2)
        for name in ("features.0", "features.3", "classifier.6")
        for kind in ("weight", "bias")
    }
    wrapped = {f"module.{name}": tensor for name, tensor in inside.items()}
    kept = [
        {"epoch": 3, "state_dict": wrapped, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}},
        {"model": {f"_orig_mod.backbone.{k}": v for k, v in inside.items()} | {"fc.weight": torch.ones(2)}},
        {"ema": wrapped | {"n_averaged": torch.tensor(3)}, "args": ["a", None, 0.5]},
    ]
    found = []
    for value in kept:
        file = io.BytesIO()
        torch.save(value, file)
        found.append(file.getvalue())
    return found


def keras_files() -> list[bytes]:
    """Layers by number with names beside them, and by name; an optimiser; kernels and a matrix."""

    def new(path: Path) -> None:
        with h5py.File(path, "w") as file:
            for number, name in enumerate(("block1_conv1", "block1_conv2")):
                group = file.create_group(f"layers/conv2d_{number}/vars")
                group.attrs["name"] = name
                group["0"], group["1"] = np.ones((3, 3, 2, 4), np.float32), np.ones(4, np.float32)
            file["optimizer/vars/0"] = np.ones(3, np.float32)

    def old(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file["model_weights/block1_conv1/block1_conv1/kernel:0"] = np.ones((3, 3, 2, 4), np.float16)
            file["model_weights/block1_conv1/block1_conv1/bias:0"] = np.ones(4, np.float32)
            file["model_weights/fc1/fc1/kernel:0"] = np.ones((512, 2), np.float64)
            file["model_weights/fc1/fc1/bias:0"] = np.ones(2, np.float32)
            file.create_dataset("words", data=b"x" * 9)

    return [written(new), written(old)]


def read_checkpoint(path: Path) -> None:
    canonical(read_tensors(path)[0], "vgg11")


def read_keras(path: Path) -> None:
    canonical(read_tensors(path)[0], "vgg16")


def written(write: Callable[[Path], object]) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "file")
        return (Path(folder) / "file").read_bytes()


def own_weights() -> list[bytes]:
    metadata = {"model": "vgg11", "input": {"order": "rgb"}, "notes": ["a"]}
    return [written(lambda path: save_weights(path, state(), metadata))]


def indices() -> list[bytes]:
    from unitmean.pipeline.index.index import Row

    rows = [Row("images.tar", f"{i}.jpg", 512 * i, 9, "0" * 64, 4, 4, "RGB", None) for i in range(3)]
    assert len(SCHEMA) == 9
    return [written(lambda path: write_index(path, rows))]


def label_lists() -> list[bytes]:
    numbers = "".join(f"ILSVRC2012_val_{i:08d}.JPEG {i * 37}\n" for i in range(1, 9))
    synsets = "ImageId,PredictionString\n" + "".join(f"val_{i},n0000000{i} 1 2 3 4 \n" for i in range(1, 9))
    quoted = "\ufefffilename;class\n" + "".join(f'"sub/val_{i}.JPEG";"{i}"\n' for i in range(1, 9))
    return [numbers.encode(), synsets.encode(), quoted.encode(), numbers.encode("utf-16")]


def statistics() -> list[bytes]:
    frame = pd.DataFrame({"site": ["relu1", "relu1", "relu2"], "channel": [0, 1, 0], "mean": [0.5, 2.0, 7.0]})
    frame = frame.assign(**{name: 1.0 for name in COLUMNS if name != "mean"})
    return [written(lambda path: write_parquet(path, [frame], {"weights": "0" * 64, "images": 3}))]


def read_labels(path: Path) -> None:
    numbered = re.search(rb"I\0?L\0?S\0?V", path.read_bytes())
    Labels(path).require(["ILSVRC2012_val_00000001.JPEG" if numbered else "val_1.JPEG"])


def read_container(path: Path) -> None:
    _layout.cache_clear()  # every execution writes another file to the same path
    _group.cache_clear()
    _opened.cache_clear()
    for entry in list_images(path):
        read_bytes(path, entry)


READERS = {
    "index": Reader(".parquet", lambda path: load_index(path, path.parent), indices),
    "safetensors": Reader(".safetensors", read_tensors, lambda: [save(state())]),
    "pth": Reader(".pth", read_tensors, pickles),
    "checkpoint": Reader(".pth", read_checkpoint, checkpoints),
    "keras": Reader(".h5", read_keras, keras_files),
    "own_weights": Reader(".safetensors", load_weights, own_weights),
    "tar": Reader(".tar", read_container, tars),
    "zip": Reader(".zip", read_container, zip_files),
    "parquet": Reader(".parquet", read_container, tables),
    "statistics": Reader(".parquet", lambda path: read_parquet(path, COLUMNS), statistics),
    "labels": Reader(".txt", read_labels, label_lists),
    "image": Reader(".img", lambda path: decode(path.read_bytes(), path.name), images),
    "pixels": Reader(".img", lambda path: pixels(path.read_bytes(), path.name), images),
    "picture": Reader(".img", lambda path: content_picture(path, 32), images),
}
