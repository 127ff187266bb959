"""Several containers under one name: a folder of them, or a name with *, ? or {000..146}."""

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from unitmean.errors import DataError
from unitmean.pipeline.disk.folders import walk
from unitmean.pipeline.disk.remote import Remote, is_remote
from unitmean.pipeline.index.containers import Container
from unitmean.pipeline.index.entries import escaped
from unitmean.pipeline.index.kinds import LeftOut, hidden

BRACES = re.compile(r"\{([^{}]*)\}")
# Suffixes of compressed files, and those that stand for .tar and one of them.
COMPRESSIONS = frozenset(".gz .bz2 .xz .zst .lz4 .lzma .lz .z .br".split())
SHORT = frozenset(".tgz .taz .tbz .tbz2 .tb2 .txz .tlz .tzst".split())
SHOWN = 5  # names that an error lists


@dataclass(frozen=True)
class Several:
    """Containers, sorted, and what else the folders hold that were named."""

    containers: list[Container]
    left_out: LeftOut


def containers(path: str, root: Path, suffix: str) -> Several:
    """The files meant; relative paths start at `root`.

    Of a folder those files that lie in it and have the suffix, in small letters or large. DataError where a
    file that is named isn't there, one of the names that braces stand for matches none, or a folder holds
    some that look like shards and would be left out.
    """
    found, left_out = list[Container](), LeftOut()
    for name in expand(path):
        place = Remote(name) if is_remote(name) else root / Path(name).expanduser()
        matches = _matches(place)
        if matches is None and place.is_dir():
            matches, others = _inside(place, suffix)
            left_out += others
        elif matches is None:
            matches = [place]
        if not matches and name != path:  # one of the names that braces stand for
            raise DataError(
                f"every name that dataset.path stands for must lead to {suffix} files; found none for "
                f"{name!r}: get them, or correct the braces"
            )
        found += matches
    if not found:
        but = f", but {left_out}" if left_out else ""
        raise DataError(
            f"dataset.path must lead to {suffix} files; found none for {path!r}{but}: give a folder that "
            f"holds some, or a name such as train-*{suffix} or train-{{000..146}}{suffix}"
        )
    return Several(sorted(set(found), key=str), left_out)


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


def _matches(place: Container) -> Sequence[Container] | None:
    """What matches a name with wildcards, None for a file's or folder's name; DataError if it isn't there."""
    magic = glob.has_magic(str(place))
    if isinstance(place, Remote) and magic:
        return place.glob()
    if place.exists():
        return None
    if not magic:
        raise DataError(
            f"every file that dataset.path names must be there; found nothing at {str(place)!r}: get it"
        )
    return [Path(name) for name in glob.glob(str(place))]


def _inside(folder: Container, suffix: str) -> tuple[list[Container], LeftOut]:
    """The shards in a folder, and its other files; DataError where some of these look like shards."""
    found, others, passed_over = list[Container](), LeftOut(), list[str]()
    for name in _names(folder):
        path, shown = PurePosixPath(name), escaped(name)
        if hidden(name):
            others.add(shown)
        elif path.suffix.lower() == suffix and len(path.parts) == 1:
            found.append(folder / name)
        elif path.suffix.lower() == suffix or _compressed(path, suffix):
            passed_over.append(shown)
        else:
            others.add(shown)
    if passed_over:
        more = f" and {len(passed_over) - SHOWN} more" if len(passed_over) > SHOWN else ""
        raise DataError(
            f"a folder of shards must hold plain {suffix} files, and none in its subfolders; found in "
            f"{str(folder)!r} also {', '.join(sorted(passed_over)[:SHOWN])}{more}: decompress or move them, "
            f"or name the shards that are meant, such as '{folder}/*{suffix}'"
        )
    return found, others


def _names(folder: Container) -> list[str]:
    """All files below a folder, by their names from there."""
    if isinstance(folder, Remote):
        return [name for name, _ in folder.files()]
    return [path.relative_to(folder).as_posix() for path in walk(folder)]


def _compressed(path: PurePosixPath, suffix: str) -> bool:
    """Whether a name is that of a compressed shard, such as a.tar.gz and a.tgz."""
    before, last = ["", "", *(end.lower() for end in path.suffixes)][-2:]
    return (before == suffix and last in COMPRESSIONS) or (suffix == ".tar" and last in SHORT)
