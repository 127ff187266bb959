"""The sources of images: generated, a folder or tar, ILSVRC's validation set, shards, Parquet, an archive."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from unitmean.errors import ConfigError, DataError
from unitmean.pipeline.disk.remote import Remote, is_remote
from unitmean.pipeline.index.containers import Container, Entry, list_images
from unitmean.pipeline.sources.archive import fetch_tar
from unitmean.pipeline.sources.deadleaves import write_tar
from unitmean.pipeline.sources.wildcards import containers

# Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015.
ILSVRC_VAL_IMAGES = 50_000
ILSVRC_VAL_NAME = "ILSVRC2012_val_{:08d}"


def generate(path: Path, *, count: int, size: int, seed: int, expected: int | None) -> list[Entry]:
    """Write `count` generated images of `size` pixels into a tar at `path`, and list them."""
    for key, value in (("count", count), ("size", size)):
        if value < 1:
            raise ConfigError(
                f"dataset.{key} must be at least 1; found {value!r}: set it, or leave it at 256"
            )
    if seed < 0:
        raise ConfigError(
            f"dataset.seed must not be negative where images are generated; found {seed!r}: set it"
        )
    _require_count(count, expected, "dataset.count")
    write_tar(path, count, size, seed)
    return list_images(path)


def find_folder(path: Container, *, expected: int | None) -> list[Entry]:
    """The images of any folder or tar."""
    entries = list_images(path)
    _require_count(len(entries), expected, str(path))
    return entries


def find_ilsvrc_val(path: Container, *, expected: int | None) -> list[Entry]:
    """ILSVRC's validation images in the tar as downloaded, or extracted; DataError unless all are there."""
    entries = list_images(path)
    expected = ILSVRC_VAL_IMAGES if expected is None else expected
    _require_count(len(entries), expected, str(path), _missing(entries, expected))
    return entries


def find_shards(
    path: str | None, root: Path, source: str, *, expected: int | None
) -> list[tuple[Container, list[Entry]]]:
    """The images of web-dataset shards or of Parquet files: a folder of them, or names with wildcards."""
    suffix = ".parquet" if source == "parquet" else ".tar"
    if path is None:
        raise _no_path(source)
    found = [(container, list_images(container)) for container in containers(path, root, suffix)]
    _require_count(sum(len(entries) for _, entries in found), expected, path)
    return found


def download_archive(
    url: str | None, digest: str | None, path: Path, partial: Path, *, expected: int | None
) -> list[Entry]:
    """Download an archive, put it at `path` as a plain tar, and list its images."""
    if not url or not digest:
        raise ConfigError(
            f"dataset.source=url needs dataset.url and dataset.digest; found {url!r} and "
            f"{digest!r}: give both"
        )
    fetch_tar(url, digest, path, partial)
    entries = list_images(path)
    _require_count(len(entries), expected, url)
    return entries


def resolve(path: str | None, root: Path, source: str) -> Container:
    """Where `dataset.path` leads from the project's root; DataError if it is not set or nothing is there."""
    if path is None:
        raise _no_path(source)
    # Not joined where it is absolute; a leading ~ is what shells leave in `dataset.path=~/images`.
    found = Remote(path) if is_remote(path) else root / Path(path).expanduser()
    if not found.exists():
        raise DataError(
            f"dataset.path must be a folder or a tar of images; found nothing at {str(found)!r}: "
            "correct it; relative paths start at the project's root"
        )
    return found


def _no_path(source: str) -> DataError:
    return DataError(
        f"dataset.source={source} needs a folder or a tar of images; found dataset.path=null: "
        "add the override dataset.path=/where/the/images/are"
    )


def _require_count(found: int, expected: int | None, where: str, missing: str = "") -> None:
    if expected is not None and found != expected:
        raise DataError(
            f"dataset.expected asks for {expected} images; found {found} in {where!r}{missing}: "
            "complete the data set, or set dataset.expected to what there is"
        )


def _missing(entries: Sequence[Entry], expected: int) -> str:
    """The first few names that lack; nothing where images are named otherwise."""
    stems = {PurePosixPath(entry.name).stem for entry in entries}
    if not any(re.fullmatch(r"ILSVRC2012_val_\d{8}", stem) for stem in stems):
        return ""
    names = [name for name in map(ILSVRC_VAL_NAME.format, range(1, expected + 1)) if name not in stems]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f", missing {', '.join(names[:5])}{more}" if names else ""
