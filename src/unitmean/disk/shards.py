"""The moments of an index, shard by shard: what is measured stays measured when a run is killed."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import unitmean.core
from unitmean.core.moments import Moments, per_image, total
from unitmean.core.observe import Observer, reduce_at, without_gradient
from unitmean.core.plan import Site
from unitmean.disk.batches import batches
from unitmean.disk.index import Index
from unitmean.disk.moments import from_frame, to_frame, write_parquet
from unitmean.disk.preprocess import Preprocessing
from unitmean.disk.progress import Bar
from unitmean.errors import ConfigError
from unitmean.networks.architectures import Network


@dataclass(frozen=True)
class Measurement:
    """A network, what it is shown and how; `identity` is all else that the sums depend on."""

    network: Network
    sites: tuple[Site, ...]
    preprocessing: Preprocessing
    batch_size: int
    identity: Mapping[str, Any]

    def key(self, images: Index) -> str:
        """A name for these images' sums that changes with whatever might change them."""
        parts = {
            "identity": dict(self.identity),
            "sites": [site.name for site in self.sites],
            "input": self.network.input.to_dict(),
            "preprocessing": asdict(self.preprocessing),
            "batch_size": self.batch_size,
            "images": [row.sha256 for row in images.rows],
            "torch": torch.__version__,
            "code": _code(),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def shards(index: Index, size: int) -> list[Index]:
    """Consecutive runs of `size` images; a larger subset shares all but the last."""
    if size < 1:
        raise ConfigError(f"collect.shard_size must be at least 1; found {size!r}: set it, e.g. to 64")
    return [replace(index, rows=index.rows[i : i + size]) for i in range(0, len(index), size)]


def measure(
    measurement: Measurement, index: Index, shard_size: int, partial: Path
) -> Iterator[dict[str, Moments]]:
    """The moments of each shard, by paper name of the site; kept under `partial` and found there again."""
    names = {site.name: measurement.network.layer(site.name) for site in measurement.sites}
    observer: Observer | None = None
    with Bar("measuring", len(index), "images") as bar:
        for shard in shards(index, shard_size):
            path = partial / f"{measurement.key(shard)}.parquet"
            if not path.exists():
                observer = observer or _observer(measurement)
                moments = _measure(measurement, observer, shard, bar)
                frame = to_frame({names[site]: m for site, m in moments.items()})
                write_parquet(path, [frame], {})
            else:
                bar.advance(len(shard))
            yield from_frame(pd.read_parquet(path))


def _observer(measurement: Measurement) -> Observer:
    size = measurement.preprocessing.output_size
    # The fastest layout for convolutions on every CPU tried.
    module = measurement.network.module.to(memory_format=torch.channels_last)
    return without_gradient(reduce_at(module, torch.zeros(1, 3, size, size), measurement.sites, per_image))


def _measure(measurement: Measurement, observer: Observer, images: Index, bar: Bar) -> dict[str, Moments]:
    sums: dict[str, list[Moments]] = {site.name: [] for site in measurement.sites}
    for batch in batches(images, measurement.preprocessing, measurement.batch_size):
        x = measurement.network.input.apply(batch).contiguous(memory_format=torch.channels_last)
        for name, statistics in observer(x).items():
            sums[name].append(Moments.of(statistics))
        bar.advance(len(batch))
    return {name: total(parts) for name, parts in sums.items()}


def _code() -> str:
    files = sorted(Path(unitmean.core.__path__[0]).glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
