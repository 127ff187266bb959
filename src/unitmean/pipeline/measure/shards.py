"""The moments of an index, shard by shard: what is measured stays measured when a run is killed."""

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from unitmean.disk.progress import Bar
from unitmean.errors import ConfigError
from unitmean.pipeline.disk.frames import read_parquet, write_parquet
from unitmean.pipeline.index.index import Index
from unitmean.pipeline.measure.measurement import Advance, Measurement
from unitmean.pipeline.measure.tables import SUMS, from_frame, to_frame
from unitmean.statistics.accuracy import accuracy
from unitmean.statistics.moments import Moments, total

Sums = dict[str, Moments]
"""By paper name of the site."""

Engine = Callable[[Measurement, Iterable[Index], Advance], Generator[Sums, None, None]]
"""The moments of shards, in their order."""


def local(measurement: Measurement, shards: Iterable[Index], advance: Advance) -> Generator[Sums, None, None]:
    """One shard after another, in this process."""
    for shard in shards:
        yield measurement.of(shard, advance)


def shards(index: Index, size: int) -> list[Index]:
    """Consecutive runs of `size` images; a larger subset shares all but the last."""
    if size < 1:
        raise ConfigError(f"collect.shard_size must be at least 1; found {size!r}: set it, e.g. to 64")
    return [replace(index, rows=index.rows[i : i + size]) for i in range(0, len(index), size)]


def measure(
    measurement: Measurement, parts: Iterable[Index], partial: Path, engine: Engine = local
) -> Generator[Sums, None, None]:
    """The moments of each shard, in order; kept under `partial` and found there again.

    Measures no more than the engine runs ahead of the consumer.
    """
    paths = [(partial / f"{measurement.key(part)}.parquet", part) for part in parts]
    # Equal shards, of equal images, are measured once.
    missing = {path: part for path, part in paths if not path.exists()}
    kept = sum(len(part) for path, part in paths if path not in missing)
    left = sum(map(len, missing.values()))
    what = f"measuring ({kept} kept)" if kept else "measuring"
    running: Sums = {}
    with (
        Bar(what, left, "images") as bar,
        closing(engine(measurement, list(missing.values()), bar.advance)) as found,
    ):
        for path, _ in paths:
            if missing.pop(path, None) is not None:
                write_parquet(path, [to_frame(next(found))], {})
            sums = read_sums(path)
            running = add(running, sums) if running else sums
            bar.note(_words(running))
            yield sums


def read_sums(path: Path) -> Sums:
    """The moments of one shard."""
    return from_frame(read_parquet(path, numbers=("images", *SUMS))[0])


def add(a: Sums, b: Sums) -> Sums:
    """The sums over the images of both."""
    return {site: total([a[site], b[site]]) for site in a}


def _words(sums: Sums) -> str:
    now = accuracy(sums.values(), None, 0.95)
    return f"standard error {now.median:.1%} (median), {now.worst:.0%} (worst)"
