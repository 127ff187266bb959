"""What is measured: the moments of a network's sites over images, in a precision, on a device."""

import hashlib
import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy
import PIL
import torch
import torchvision
from torch import Tensor, nn

from unitmean.device import DTYPES, full_float32
from unitmean.graph.observe import Observer, reduce_at, without_gradient
from unitmean.graph.plan import Site
from unitmean.networks.architectures import Network
from unitmean.pipeline.index.batches import pixel_batches, unit
from unitmean.pipeline.index.index import Index
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.measure.source_code import code_hash
from unitmean.statistics.moments import Moments, per_image, per_image_at_once, total, with_counts

# What decodes, resizes or computes: another version may give other numbers.
LIBRARIES = (numpy, PIL, torch, torchvision)
# What the sums depend on of unitmean is all that these import: how a network is read, which sites it has,
# and how images are decoded, resized and measured.
MODULES = (
    "unitmean.layouts.networks",
    "unitmean.graph.analysis",
    "unitmean.pipeline.measure.measurement",
)

Advance = Callable[[int], None]
"""Told how many more images have been measured."""


@dataclass(frozen=True)
class Measurement:
    """A network, what it is shown and how; `identity` is all else that the sums depend on."""

    network: Network
    sites: tuple[Site, ...]
    preprocessing: Preprocessing
    batch_size: int
    identity: Mapping[str, Any]
    precision: str = "float32"
    device: str = "cpu"
    compile: bool = False
    histograms: bool = False

    def key(self, images: Index) -> str:
        """A name for these images' sums that changes with whatever might change them."""
        parts = self._parts | {"images": [row.sha256 for row in images.rows]}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def of(self, images: Index, advance: Advance) -> dict[str, Moments]:
        """The moments of these images, by paper name of the site."""
        sums: dict[str, list[Moments]] = {site.name: [] for site in self.sites}
        with full_float32():
            for pixels in pixel_batches(images, self.preprocessing, self.batch_size):
                for name, statistics in self._observer(self._shown(pixels)).items():
                    sums[name].append(Moments.of(statistics[:, : len(pixels)]))
                advance(len(pixels))
        return {self.network.layer(name): total(parts).to("cpu") for name, parts in sums.items()}

    def with_precision(self, precision: str) -> "Measurement":
        """The same in another precision."""
        return replace(self, precision=precision)

    def _shown(self, pixels: Tensor) -> Tensor:
        """What the network eats, in the fastest layout for convolutions on every device tried."""
        if self.compile and len(pixels) < self.batch_size:
            # Filled up: another size would be compiled anew, and perhaps to other bits.
            filling = pixels[-1:].expand(self.batch_size - len(pixels), -1, -1, -1)
            pixels = torch.cat((pixels, filling))
        if self.device == "cuda":
            pixels = pixels.pin_memory()
        x = self.network.input.apply(unit(pixels.to(self.device, non_blocking=True)))
        return x.to(DTYPES[self.precision]).contiguous(memory_format=torch.channels_last)

    @cached_property
    def _observer(self) -> Observer:
        size = self.preprocessing.output_size
        dtype = DTYPES[self.precision]
        example = torch.zeros(1, 3, size, size, dtype=dtype, device=self.device)
        # A copy where the type changes: the network is also measured in float32.
        module = _converted(self.network, dtype, self.device)
        at_once = self.compile or self.device == "cuda"
        plain = per_image_at_once if at_once else per_image
        reduction = with_counts(plain) if self.histograms else plain
        return without_gradient(reduce_at(module, example, self.sites, reduction, compile=self.compile))

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
            "compile": self.compile,
            "histograms": self.histograms,
            "libraries": {library.__name__: library.__version__ for library in LIBRARIES},
            # Other instructions or another number of threads add in another order.
            "cpu": [torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()],
            "code": code_hash(*MODULES),
        }


def _converted(network: Network, dtype: torch.dtype, device: str) -> nn.Module:
    same = dtype == torch.float32 and device == "cpu"
    module: nn.Module = network.module if same else deepcopy(network.module)
    return module.to(device, dtype).to(memory_format=torch.channels_last)
