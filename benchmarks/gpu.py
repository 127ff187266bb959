"""How fast a GPU collects channel means: the usual script against this package, and what bounds them.

    python benchmarks/collect.py --device cuda [--images 16384] [--model vgg19] [--size 224]

Needs no network and no images: it draws JPEGs of 500 x 375 pixels and about 100 kB, as ILSVRC's are, and
packs them into a tar. What is timed begins at the tar and ends with the means; importing, compiling and a
warm-up are outside the clock. The usual script reads the same tar without checking hashes. About two minutes
on an H100.
With `--device cpu` it walks the same code, for a trial with a few images.
"""

import argparse
import io
import os
import tarfile
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Set
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from contenders import Photographs
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import models

from unitmean.graph.analysis import analyse
from unitmean.networks.architectures import build
from unitmean.networks.inputs import TORCHVISION
from unitmean.networks.seeded import seeded
from unitmean.pipeline.index import batches
from unitmean.pipeline.index.batches import _encoded, pixel_batches, resized
from unitmean.pipeline.index.containers import list_images, read_bytes
from unitmean.pipeline.index.entries import Entry
from unitmean.pipeline.index.index import Index, build_rows, place
from unitmean.pipeline.index.pixels import choose_decoder, pixels, pixels_on_gpu
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.measure.automatic import shard_size
from unitmean.pipeline.measure.collecting import check, collect
from unitmean.pipeline.measure.measurement import Measurement, Sums
from unitmean.pipeline.measure.range import in_range

BATCH = 256  # ours; the usual script's is USUAL
USUAL = 64
DISTINCT = 4096  # drawings; beyond them a comment in the file makes each its own
CORES = os.cpu_count() or 1


@dataclass
class Bench:
    """What every contender is given, and the lines of the table."""

    index: Index
    device: str
    model: str
    size: int
    state: dict[str, Tensor]
    batch: int
    rates: dict[str, float] = field(default_factory=dict)
    sums: dict[str, Sums] = field(default_factory=dict)

    def line(self, name: str, images: int, work: Callable[[int], Any]) -> None:
        """Time `work` on so many images after a warm-up; a failure is a line too."""
        images = min(images, len(self.index))
        started = time.perf_counter()
        try:
            work(min(2 * self.batch, images))
            self.wait()
            begun = time.perf_counter()
            found = work(images)
            self.wait()
            self.rates[name] = images / (time.perf_counter() - begun)
            if isinstance(found, dict):
                self.sums[name] = found
            text = f"{self.rates[name]:,.0f}"
        except Exception:
            traceback.print_exc()
            text = "failed, see above"
        print(f"| {name} | {images:,} | {text} | {time.perf_counter() - started:.1f} s |", flush=True)

    @cached_property
    def precise(self) -> Measurement:
        network = build(self.model, self.state, input=TORCHVISION)
        plan = analyse(network.module, torch.zeros(1, 3, self.size, self.size))
        decoder = choose_decoder("auto", self.device)
        preprocessing = Preprocessing("warp", self.size)
        return Measurement(
            network, plan.sites, preprocessing, self.batch, {}, device=self.device, decoder=decoder
        )

    @cached_property
    def half(self) -> Measurement:
        return in_range(self.precise, self.index)

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


class Plain(Photographs):
    """Read and decoded as in a thousand scripts, without a hash."""

    def __getitem__(self, i: int) -> Tensor:
        row = self.index.rows[i]
        data = read_bytes(place(row.container, self.index.root), Entry(row.name, row.offset, row.size))
        found: Tensor = self.transform(Image.open(io.BytesIO(data)).convert("RGB"))
        return found


def usual(bench: Bench, precision: str) -> Callable[[int], Tensor]:
    """Hooks on every rectifier, a DataLoader with as many workers as cores."""
    half = precision == "autocast bfloat16"
    module = models.get_model(bench.model, weights=None).eval()
    module.load_state_dict(bench.state)
    module = module.to(bench.device, memory_format=torch.channels_last if half else torch.contiguous_format)
    rectifiers = [part for part in module.modules() if isinstance(part, nn.ReLU)]

    def run(images: int) -> Tensor:
        sums: dict[nn.Module, Tensor] = {}

        def hook(part: nn.Module, _: Any, output: Tensor) -> None:
            means = output.float().mean((2, 3)) if output.ndim == 4 else output.float()
            sums[part] = sums[part] + means.sum(0) if part in sums else means.sum(0)

        handles = [part.register_forward_hook(hook) for part in rectifiers]
        data = Plain(bench.index.head(images), bench.size)
        loader = DataLoader(data, USUAL, num_workers=CORES, pin_memory=bench.device == "cuda")
        with (
            torch.inference_mode(),
            tf32(precision == "TF32"),
            torch.autocast(bench.device, torch.bfloat16, enabled=half),
        ):
            for x in loader:
                x = x.to(bench.device, non_blocking=True)
                module(x.contiguous(memory_format=torch.channels_last) if half else x)
        for handle in handles:
            handle.remove()
        return torch.cat([sums[part] for part in rectifiers]).double().cpu() / images

    return run


@contextmanager
def tf32(on: bool) -> Iterator[None]:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = on
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def measurement(bench: Bench, precision: str, *, compile: bool = False) -> Measurement:
    fast = bench.half if precision == "float16" else replace(bench.precise, precision=precision)
    return replace(fast, compile=compile)


def ours(
    bench: Bench, precision: str, *, compile: bool = False, correct: bool = False
) -> Callable[[int], Sums]:
    """From the tar to the sums, shard by shard, with sha256 checked; corrected by 32 images in float32."""
    fast = measurement(bench, precision, compile=compile)
    precise = measurement(bench, "float32")

    def run(images: int) -> Sums:
        index = bench.index.head(images)
        with tempfile.TemporaryDirectory() as folder:
            size = shard_size(None, bench.batch, bench.device)
            sums = collect(fast, index, size, Path(folder)).sums
            if correct:
                first = index.head(min(32, images))
                sums = check(precise, fast, first, Path(folder), correct=True).mended(sums)
        return sums

    return run


def ceilings(bench: Bench, compiled: bool) -> dict[str, Callable[[int], Any]]:
    """What each part would do alone."""
    index, size = bench.index, bench.size
    preprocessing = Preprocessing("warp", size)
    encoded = next(_encoded(index, bench.batch))
    gpu = bench.device == "cuda"
    images = pixels_on_gpu(encoded, "cuda") if gpu else [pixels(data, row.name) for data, row in encoded]
    fast = measurement(bench, "float16" if gpu else "float32", compile=compiled)
    batch = resized(images, preprocessing)

    def times(count: int, work: Callable[[], Any]) -> None:
        for _ in range(-(-count // len(encoded))):
            work()

    return {
        "read and sha256": lambda n: [None for _ in _encoded(index.head(n), bench.batch)],
        "decode (nvJPEG)": lambda n: times(
            n, lambda: pixels_on_gpu(encoded, "cuda") if gpu else [pixels(d, r.name) for d, r in encoded]
        ),
        "resize": lambda n: times(n, lambda: resized(images, preprocessing)),
        "loader: all of the above": loader(bench),
        f"forward and reductions, {fast.precision}{', compiled' if compiled else ''}": lambda n: times(
            n, lambda: fast._observing(fast._shown(batch))
        ),
    }


def loader(bench: Bench) -> Callable[[int], Any]:
    """All that is done before the network sees a batch."""
    decoder = choose_decoder("auto", bench.device)

    def run(images: int) -> None:
        index, preprocessing = bench.index.head(images), Preprocessing("warp", bench.size)
        for _ in pixel_batches(index, preprocessing, bench.batch, device=bench.device, decoder=decoder):
            pass

    return run


def fed_by(threads: int, work: Callable[[int], Any]) -> Callable[[int], Any]:
    """The same work, with so many threads that feed the GPU's decoder."""

    def run(images: int) -> Any:
        with mock.patch.object(batches, "FEEDERS", threads):
            return work(images)

    return run


def draw(number: int) -> bytes:
    """A smooth picture with grain, landscape or portrait, about 100 kB."""
    rng = np.random.default_rng(number)
    width, height = (500, 375) if number % 4 else (375, 500)
    coarse = Image.fromarray(rng.integers(256, size=(9, 12, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    grain = rng.normal(0, 14, (height, width, 1)).astype(np.float32)
    file = io.BytesIO()
    Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def images(tar: Path, count: int) -> Index:
    """So many JPEGs in a tar, no two of them alike, and their index."""
    with ProcessPoolExecutor(CORES) as pool:
        drawn = list(pool.map(draw, range(min(count, DISTINCT)), chunksize=16))
    with tarfile.open(tar, "w") as archive:
        for number in range(count):
            data = drawn[number % len(drawn)]
            comment = b"\xff\xfe\x00\x0a" + f"{number:08d}".encode()
            data = data[:2] + comment + data[2:]
            member = tarfile.TarInfo(f"{number:08d}.JPEG")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    rows, _ = build_rows(tar, list_images(tar), tar.name, seed=0, skip=False)
    return Index(tuple(rows), tar.parent)


def run(options: argparse.Namespace) -> None:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        index = images(Path(folder) / "images.tar", options.images)
        state = seeded(options.model, 0, 3.0)
        bench = Bench(index, options.device, options.model, options.size, state, min(BATCH, options.images))
        name = torch.cuda.get_device_name() if bench.device == "cuda" else "CPU"
        kilobytes = sum(row.size for row in index.rows) / len(index) / 1000
        print(
            f"{name}, {CORES} cores, torch {torch.__version__}, {options.model} at {options.size} pixels, "
            f"{len(index):,} JPEGs of {kilobytes:.0f} kB; prepared in "
            f"{time.perf_counter() - started:.0f} s\n\n"
            "| what | images | images/s | all of it took |\n|---|---|---|---|",
            flush=True,
        )
        contend(bench, options.images)
    print(f"\nAll took {time.perf_counter() - started:.0f} s.")


def contend(bench: Bench, whole: int) -> None:
    gpu = bench.device == "cuda"
    few = max(bench.batch, whole // 4)
    for title, work in ceilings(bench, compiled=gpu).items():
        bench.line(title, whole, work)
    parts = [name for name in bench.rates if not name.startswith("loader")]
    for precision in ("float32", "TF32", "autocast bfloat16") if gpu else ("float32",):
        bench.line(f"usual script, {precision}", few, usual(bench, precision))
    for precision in ("float32", "tf32", "bfloat16", "float16") if gpu else ("float32", "float16"):
        title = f"unitmean, {precision}"
        bench.line(title, few if "32" in precision else whole, ours(bench, precision))
    if gpu:
        best = ours(bench, "float16", compile=True)
        bench.line("unitmean, float16, compiled", whole, best)
        corrected = ours(bench, "float16", compile=True, correct=True)
        bench.line("unitmean, float16, compiled, corrected", whole, corrected)
        bench.line("unitmean, float16, corrected, fewer images", few, ours(bench, "float16", correct=True))
        for threads in (2, 4):
            for name, work in (("the loader", loader(bench)), ("the compiled run", best)):
                title = f"with {threads} threads that feed the decoder: {name}"
                bench.line(title, whole, fed_by(threads, work))
    summarise(bench, parts)


def summarise(bench: Bench, parts: list[str]) -> None:
    mine = {name: rate for name, rate in bench.rates.items() if name.startswith("unitmean")}
    theirs = {name: rate for name, rate in bench.rates.items() if name.startswith("usual")}
    if mine and theirs and parts:
        best, usual_best = max(mine, key=mine.__getitem__), max(theirs, key=theirs.__getitem__)
        lowest = min(parts, key=bench.rates.__getitem__)
        print(
            f"\nThe fastest, {best}, does {mine[best] / theirs[usual_best]:.1f} times the images of the "
            f"{usual_best}, "
            f"and {mine[best] / bench.rates[lowest]:.0%} of the lowest ceiling, {lowest}."
        )
    exact = bench.sums.get("unitmean, float32")
    name = "unitmean, float16, corrected, fewer images" if bench.device == "cuda" else "unitmean, float16"
    if exact is not None and name in bench.sums:
        print(f"\n{name}, against float32 over the same images:")
        maps = {bench.precise.network.layer(site.name) for site in bench.precise.sites if len(site.shape) > 2}
        for title, sites in (("with positions", maps), ("without", exact.keys() - maps)):
            if sites:
                print(f"* channels {title}: {off(exact, bench.sums[name], sites)}")


def off(exact: Sums, fast: Sums, sites: Set[str]) -> str:
    """How far means are off: relative to themselves, and to their standard errors over these images."""
    precise = torch.cat([exact[site].expectation() for site in sorted(sites)])
    found = torch.cat([fast[site].expectation() for site in sorted(sites)])
    chance = torch.cat([exact[site].standard_error() for site in sorted(sites)])
    live = precise > 0
    relative, share = (((found - precise).abs() / base)[live] for base in (precise, chance))
    return (
        f"means off by {relative.median():.1e} (median), {relative.max():.1e} (worst); in standard errors "
        f"{share.median():.3f}, {share.max():.3f}"
    )
