"""The moments of an index, shard by shard, kept on disk so that a killed run resumes from them."""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from unitmean.disk.progress import Bar
from unitmean.errors import ConfigError
from unitmean.pipeline.disk.frames import read_parquet, write_parquet
from unitmean.pipeline.index.index import Index
from unitmean.pipeline.measure.measurement import Advance, Measurement, Sums
from unitmean.pipeline.measure.tables import SUMS, from_frame, to_frame
from unitmean.statistics.accuracy import Accuracy, accuracy

Engine = Callable[[Measurement, Iterable[Index], Advance], Generator[Sums, None, None]]


@dataclass(frozen=True)
class Target:
    """Stop at the first shard at which `share` of the channels have at most this relative standard error.

    Not before `min_images`: a standard error of n images is itself uncertain by 1/sqrt(2n - 2), 13% of 32.
    """

    standard_error: float | None = None
    share: float = 0.95
    min_images: int = 32

    def reached(self, found: Accuracy) -> bool:
        return found.share is not None and found.share >= self.share and found.images >= self.min_images


@dataclass(frozen=True)
class Shard:
    """One shard's images and sums, the sums up to and with it, and how accurate the means then are."""

    images: Index
    sums: Sums
    so_far: Sums
    accuracy: Accuracy


def local(measurement: Measurement, shards: Iterable[Index], advance: Advance) -> Generator[Sums, None, None]:
    """One shard after another, in this process."""
    return measurement.each(shards, advance)


def shards(index: Index, size: int) -> list[Index]:
    """Consecutive runs of `size` images; in a larger subset of the data set all but the last are the same."""
    if size < 1:
        raise ConfigError(f"collect.shard_size must be at least 1; found {size!r}: set it, e.g. to 64")
    return [replace(index, rows=index.rows[i : i + size]) for i in range(0, len(index), size)]


def measure(
    measurement: Measurement,
    parts: Iterable[Index],
    partial: Path,
    engine: Engine = local,
    target: Target | None = None,
    what: str = "measuring",
) -> Generator[Shard, None, None]:
    """Measure one shard after another, until the target is reached.

    Sums are kept under `partial`, and read from there if an earlier run kept them. No more shards are
    measured than the consumer asks for, and those that the engine measures ahead.
    """
    target = target or Target()
    paths = [(partial / f"{measurement.key(part)}.parquet", part) for part in parts]
    # Equal shards, of equal images, are measured once.
    missing = {path: part for path, part in paths if not path.exists()}
    kept = sum(len(part) for path, part in paths if path not in missing)
    left = sum(map(len, missing.values()))
    so_far: Sums = {}
    with (
        Bar(f"{what} ({kept} kept)" if kept else what, left, "images") as bar,
        closing(engine(measurement, list(missing.values()), bar.advance)) as found,
    ):
        for path, part in paths:
            if missing.pop(path, None) is None:
                sums = read_sums(path)
            else:
                sums = next(found)
                write_parquet(path, [to_frame(sums)], {})
            so_far = {site: so_far[site] + sums[site] for site in sums} if so_far else sums
            known = accuracy(so_far.values(), target.standard_error, target.share)
            bar.note(f"standard error {known.median:.1%} (median), {known.worst:.0%} (worst)")
            yield Shard(part, sums, so_far, known)
            if target.reached(known):
                return


def whole(
    measurement: Measurement,
    parts: Sequence[Index],
    partial: Path,
    engine: Engine = local,
    what: str = "measuring",
) -> Sums:
    """The sums over all shards."""
    *_, last = measure(measurement, parts, partial, engine, what=what)
    return last.so_far


def read_sums(path: Path) -> Sums:
    """The moments of one shard."""
    return from_frame(read_parquet(path, numbers=("images", *SUMS))[0])
