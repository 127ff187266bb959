"""Several containers under one name: a folder of them, or a name with *, ? or {000..146}."""

import glob
import re
from pathlib import Path

from unitmean.errors import DataError
from unitmean.pipeline.disk.remote import Remote, is_remote
from unitmean.pipeline.index.containers import Container

BRACES = re.compile(r"\{([^{}]*)\}")


def containers(path: str, root: Path, suffix: str) -> list[Container]:
    """The files meant, sorted; relative paths start at `root`. DataError where one of them isn't there."""
    found: list[Container] = []
    for name in expand(path):
        found += _remote(name, suffix) if is_remote(name) else _local(root / Path(name).expanduser(), suffix)
    if not found:
        raise DataError(
            f"dataset.path must lead to {suffix} files; found none for {path!r}: give a folder that holds "
            f"some, or a name such as train-*{suffix} or train-{{000..146}}{suffix}"
        )
    return sorted(set(found), key=str)


def expand(name: str) -> list[str]:
    """Braces as shells and web-datasets write them: {a,b} and {000..146}, whose leading zeros are kept."""
    match = BRACES.search(name)
    if match is None:
        return [name]
    ends = re.fullmatch(r"(\d+)\.\.(\d+)", match[1])
    if ends:
        numbers = range(int(ends[1]), int(ends[2]) + 1)
        choices = [f"{number:0{len(ends[1])}d}" for number in numbers]
    else:
        choices = match[1].split(",")
    before, after = name[: match.start()], name[match.end() :]
    return [whole for choice in choices for whole in expand(before + choice + after)]


def _local(path: Path, suffix: str) -> list[Container]:
    if path.is_dir():
        return list(path.glob(f"*{suffix}"))
    if path.exists():
        return [path]
    if not glob.has_magic(str(path)):
        raise _missing(str(path))
    return [Path(name) for name in glob.glob(str(path))]


def _remote(url: str, suffix: str) -> list[Container]:
    place = Remote(url)
    if glob.has_magic(url):
        return list(place.glob())
    if place.is_dir():
        return [place / name for name, _ in place.files() if name.endswith(suffix) and "/" not in name]
    if not place.exists():
        raise _missing(url)
    return [place]


def _missing(path: str) -> DataError:
    return DataError(f"every file that dataset.path names must be there; found nothing at {path!r}: get it")
