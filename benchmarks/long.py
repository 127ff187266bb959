"""A long run: whether memory and rate stay what they are while many images are measured.

    python benchmarks/long.py [--images 20000] [--size 64] [--model vgg19] [--rows 10] [--tar FILE]

Generates images (into FILE, which is taken as it is where it exists), measures them shard by shard as
collect_statistics does, and prints a row whenever another part of them is done: images, seconds, images/s
since the row before, memory now and at its peak.
"""

import argparse
import datetime
import tempfile
import time
from collections.abc import Generator, Iterable
from pathlib import Path

import torch
from memory import forget_peak, memory
from safetensors.torch import load_file, save_file

from unitmean.graph.analysis import analyse
from unitmean.networks.architectures import build
from unitmean.networks.inputs import TORCHVISION
from unitmean.networks.seeded import seeded
from unitmean.pipeline.index.containers import list_images
from unitmean.pipeline.index.index import Index, build_rows
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.measure.collecting import collect
from unitmean.pipeline.measure.measurement import Advance, Measurement, Sums
from unitmean.pipeline.sources.deadleaves import write_tar


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--model", default="vgg19")
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--tar", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        tar = options.tar or scratch / "images.tar"
        if not tar.exists():
            write_tar(tar, options.images, options.size, seed=0)
        rows, _ = build_rows(tar, list_images(tar), str(tar.resolve()), seed=0, skip=False)
        run(Index(tuple(rows), scratch), options, scratch)


def run(index: Index, options: argparse.Namespace, scratch: Path) -> None:
    """Measure the index and print the table."""
    save_file(seeded(options.model, 0, 3.0), scratch / "weights.safetensors")
    network = build(options.model, load_file(scratch / "weights.safetensors"), input=TORCHVISION)
    plan = analyse(network.module, torch.zeros(1, 3, options.size, options.size))
    measurement = Measurement(network, plan.sites, Preprocessing("warp", options.size), 8, {})
    forget_peak()  # of making images and weights
    print(f"{datetime.date.today()}, {options.model} at {options.size} pixels, {len(index):,} images\n")
    print("| images | seconds | images/s | memory, GiB | peak, GiB |\n|---:|---:|---:|---:|---:|")
    watch = Watch(max(1, len(index) // options.rows))
    collect(measurement, index, 64, scratch, engine=watch.engine)


class Watch:
    """Prints a row whenever `every` more images have been measured."""

    def __init__(self, every: int) -> None:
        self.every, self.done, self.shown = every, 0, 0
        self.begun = self.last = time.perf_counter()

    def engine(
        self, measurement: Measurement, shards: Iterable[Index], advance: Advance
    ) -> Generator[Sums, None, None]:
        """The local engine, watched."""
        for shard in shards:
            yield measurement.of(shard, advance)
            self._measured(len(shard))

    def _measured(self, count: int) -> None:
        self.done += count
        if self.done - self.shown < self.every:
            return
        now = time.perf_counter()
        rate = (self.done - self.shown) / (now - self.last)
        print(
            f"| {self.done:,} | {now - self.begun:.0f} | {rate:.1f} "
            f"| {memory('VmRSS'):.2f} | {memory('VmHWM'):.2f} |",
            flush=True,
        )
        self.shown, self.last = self.done, now


if __name__ == "__main__":
    main()
