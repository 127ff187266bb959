"""What is measured: the moments of a network's sites over images, in a precision, on a device."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy
import PIL
import torch
import torchcodec
import torchvision
from jaxtyping import Float64, UInt8
from torch import Tensor, nn

from unitmean.device import DTYPES, arithmetic
from unitmean.errors import DataError
from unitmean.graph.observe import OUTPUT, Observer, compiled, reduce_at, without_gradient
from unitmean.graph.plan import Site
from unitmean.networks.architectures import Network
from unitmean.pipeline.index.batches import pixel_batches, unit
from unitmean.pipeline.index.index import Index
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.measure.source_code import code_hash
from unitmean.statistics.moments import Moments, per_image, per_image_at_once, with_counts

# What decodes, resizes or computes: another version may give other numbers.
LIBRARIES = (numpy, PIL, torch, torchcodec, torchvision)
# The sums depend on these modules and all that they import of unitmean: how a network is read, which sites it
# has, and how images are decoded, resized and measured.
MODULES = (
    "unitmean.layouts.networks",
    "unitmean.graph.analysis",
    "unitmean.pipeline.measure.measurement",
)

Advance = Callable[[int], None]
"""Told how many more images have been measured."""

Sums = dict[str, Moments]
"""The moments of each site, by its paper name."""


@dataclass(frozen=True)
class Measurement:
    """A network, what it is shown and how; `identity` is all else that the sums depend on.

    `undo`: by site, the powers of two by which the network's channels were divided to bring them into the
    range of float16; sums are multiplied by them, which changes no bit.
    """

    network: Network
    sites: tuple[Site, ...]
    preprocessing: Preprocessing
    batch_size: int
    identity: Mapping[str, Any]
    precision: str = "float32"
    device: str = "cpu"
    compile: bool = False
    histograms: bool = False
    decoder: str = "cpu"
    undo: Mapping[str, Float64[Tensor, " _"]] = field(default_factory=dict)

    def key(self, images: Index) -> str:
        """A name for these images' sums that changes with whatever might change them."""
        digest = self._fingerprint.copy()
        digest.update(json.dumps([row.sha256 for row in images.rows]).encode())
        return digest.hexdigest()

    def of(self, images: Index, advance: Advance = lambda _: None) -> Sums:
        """The moments of these images."""
        return next(self.each([images], advance))

    def each(self, shards: Iterable[Index], advance: Advance = lambda _: None) -> Generator[Sums, None, None]:
        """The moments of one shard after another; images are decoded ahead, across the shards' ends.

        A GPU begins with the next shard before the sums of the one before are yielded.
        """
        shards = list(shards)
        under_way: deque[Callable[[], Moments]] = deque()
        with closing(self._batches(shards)) as batches:
            for shard in shards:
                under_way.append(_sent(self._sum(batches, len(shard), advance)))
                if self.device != "cuda" or len(under_way) > 1:
                    yield self._named(under_way.popleft()())
            while under_way:
                yield self._named(under_way.popleft()())

    def over(self, batches: Iterable[UInt8[Tensor, "_ 3 h w"]]) -> Sums:
        """The moments of images that are decoded already."""
        batches = list(batches)
        return self._named(self._sum(iter(batches), sum(map(len, batches)), lambda _: None).to("cpu"))

    def seen(self, pixels: UInt8[Tensor, "n 3 h w"]) -> tuple[Sums, Tensor | None]:
        """A batch's moments, and the network's output; None for a truncated network."""
        with arithmetic(self.precision):
            found = self._observing_output(self._shown(pixels))
            output = found.pop(OUTPUT, None)
            sums = self._named(self._together(found, len(pixels)).to("cpu")) if self.sites else {}
        return sums, None if output is None else output[: len(pixels)].float().cpu()

    def with_precision(self, precision: str) -> "Measurement":
        """A copy with another precision."""
        return replace(self, precision=precision)

    def _batches(self, shards: Sequence[Index]) -> Generator[UInt8[Tensor, "n 3 h w"], None, None]:
        """The batches of all shards, none with images of two of them."""
        whole = all(len(shard) % self.batch_size == 0 for shard in shards[:-1])
        if whole and len({shard.root for shard in shards}) == 1:
            rows = tuple(chain.from_iterable(shard.rows for shard in shards))
            shards = [replace(shards[0], rows=rows)]
        for shard in shards:
            batches = pixel_batches(
                shard, self.preprocessing, self.batch_size, device=self.device, decoder=self.decoder
            )
            with closing(batches):
                yield from batches

    def _sum(self, batches: Iterator[Tensor], images: int, advance: Advance) -> Moments:
        """The moments of the next `images` images, added up on the device."""
        running: Moments | None = None
        while images:
            pixels = next(batches)
            with arithmetic(self.precision):
                found = self._together(self._observing(self._shown(pixels)), len(pixels))
            running = found if running is None else running + found
            images -= len(pixels)
            advance(len(pixels))
        assert running is not None  # a shard holds images
        return running

    def _together(self, statistics: Mapping[str, Tensor], images: int) -> Moments:
        """All sites' channels side by side: one small tensor a batch, and nothing that waits for a GPU."""
        side_by_side = torch.cat([statistics[site.name] for site in self.sites], dim=-1)
        return Moments.of(side_by_side[:, :images])

    def _named(self, moments: Moments) -> Sums:
        if self.precision == "float16" and not bool(moments.square.isfinite().all()):
            raise DataError(
                "activations must stay below 65,504 in float16; found larger ones: use "
                "collect.precision=bfloat16, or tf32 on a GPU"
            )
        parts = moments.split([site.channels for site in self.sites])
        return {
            self.network.layer(site.name): part.scaled(self.undo[site.name]) if self.undo else part
            for site, part in zip(self.sites, parts, strict=True)
        }

    def _shown(self, pixels: Tensor) -> Tensor:
        """The network's input, in the layout in which convolutions are fastest on every device tried."""
        if self.compile and len(pixels) < self.batch_size:
            # Filled up: another size would be compiled anew, and perhaps to other bits.
            filling = pixels[-1:].expand(self.batch_size - len(pixels), -1, -1, -1)
            pixels = torch.cat((pixels, filling))
        x = self.network.input.apply(unit(pixels.to(self.device)))
        return x.to(DTYPES[self.precision]).contiguous(memory_format=torch.channels_last)

    @cached_property
    def _observing(self) -> Observer:
        return self._observe(output=False)

    @cached_property
    def _observing_output(self) -> Observer:
        return self._observe(output=not self.network.truncated)

    def _observe(self, *, output: bool) -> Observer:
        size = self.preprocessing.output_size
        dtype = DTYPES[self.precision]
        example = self.network.noise(size) if self.precision == "float32" else torch.zeros(1, 3, size, size)
        example = example.to(self.device, dtype)  # lesser precisions may choose other algorithms
        # A copy where the type changes: the network is also measured in float32.
        module = _converted(self.network, dtype, self.device)
        at_once = self.compile or self.device == "cuda"
        plain = per_image_at_once if at_once else per_image
        reduction = with_counts(plain) if self.histograms else plain
        observer = reduce_at(module, example, self.sites, reduction, output=output, in_place=not self.compile)
        return without_gradient(compiled(observer) if self.compile else observer)

    @cached_property
    def _fingerprint(self) -> "hashlib._Hash":
        return hashlib.sha256(json.dumps(self._parts, sort_keys=True).encode())

    @cached_property
    def _parts(self) -> dict[str, Any]:
        return {
            "identity": dict(self.identity),
            "sites": [site.name for site in self.sites],
            "input": self.network.input.to_dict(),
            "preprocessing": asdict(self.preprocessing),
            "batch_size": self.batch_size,
            "precision": self.precision,
            "device": self.device,
            "decoder": self.decoder,
            "gpu": torch.cuda.get_device_name() if self.device == "cuda" else None,
            "compile": self.compile,
            "histograms": self.histograms,
            "undo": {site: factors.tolist() for site, factors in self.undo.items()},
            "libraries": {library.__name__: library.__version__ for library in LIBRARIES},
            # Other instructions or another number of threads add in another order.
            "cpu": [torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()],
            "code": code_hash(*MODULES),
        }


def _sent(moments: Moments) -> Callable[[], Moments]:
    """Begin to copy moments to the host while the GPU goes on; the returned function waits for them."""
    if not moments.mean.is_cuda:
        return lambda: moments
    host = moments.on(
        lambda t: torch.empty_like(t, device="cpu", pin_memory=True).copy_(t, non_blocking=True)
    )
    arrived = torch.cuda.Event()
    arrived.record()

    def wait() -> Moments:
        arrived.synchronize()
        return host

    return wait


def _converted(network: Network, dtype: torch.dtype, device: str) -> nn.Module:
    same = dtype == torch.float32 and device == "cpu"
    module: nn.Module = network.module if same else deepcopy(network.module)
    return module.to(device, dtype).to(memory_format=torch.channels_last)
