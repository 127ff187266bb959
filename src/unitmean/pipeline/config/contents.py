"""What changes with the contents of the files that settings name, so that DVC notices when they did."""

import glob
import hashlib
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import Any

from unitmean.disk.digest import sha256
from unitmean.disk.imports import with_imports
from unitmean.errors import ConfigError, DataError
from unitmean.pipeline.config.files import BRACES
from unitmean.pipeline.config.schema import Meta
from unitmean.pipeline.disk.folders import walk
from unitmean.pipeline.disk.remote import Remote, is_remote

# More bytes than these aren't read: sizes and times of change must do.
READ = 2**30
RECORDED = re.compile(r"\$\{contents:(\S+)\}")
# Keys of the section `meta` that record contents, each with the key that names the files.
PATHS = {
    f"meta.{field.name}": found[1]
    for field in fields(Meta)
    if (found := RECORDED.fullmatch(str(field.default)))
}


def contents(named: str | None, root: Path) -> str | None:
    """A digest that changes with the files that a setting names; None for no setting, and where nothing lies.

    With Python code counts what it imports from beside it. Relative paths start at `root`; a path may have
    wildcards. Of more than 1 GiB, and of files at an address, the names, sizes and times of change count, of
    all others the bytes. An address that can't be reached counts as nothing, and a note says so.
    Raises DataError for what can't be read, and for a folder that is linked within itself.
    """
    if named is None:
        return None
    try:
        rows = _remote(named) if is_remote(named) else _local(root / Path(named).expanduser())
    except OSError as error:
        raise DataError(
            f"files that settings name must be readable; found {error}: check {named!r} and its permissions"
        ) from error
    return hashlib.sha256(repr(sorted(rows)).encode()).hexdigest() if rows else None


def require_recorded(params: Mapping[str, Mapping[str, Any]], root: Path) -> None:
    """ConfigError where files are other than the section `meta` of `params` records.

    What it doesn't record, as in a params.yaml that was written by hand, is not compared.
    """
    for name, recorded in params.get("meta", {}).items():
        key = PATHS.get(f"meta.{name}")
        if key is None or recorded is None:
            continue
        section, _, path = key.partition(".")
        if contents(named := params[section][path], root) != recorded:
            raise ConfigError(
                f"the contents of {key} must be those that meta.{name} records; found others at {named!r}: "
                "run `unitmean repro` or `unitmean configure` with the same overrides as before"
            )


def require_watched(params: Mapping[str, Mapping[str, Any]], root: Path) -> None:
    """ConfigError where files of this machine have come to lie where the section `meta` records none.

    DVC would not notice it when they change.
    """
    for key, path in PATHS.items():
        (section, _, name), meta = path.partition("."), key.partition(".")[2]
        named = params[section][name]
        if named is None or is_remote(named) or params["meta"][meta] is not None:
            continue
        if contents(named, root) is not None:
            raise ConfigError(
                f"{key} must be a digest of what {path} names; found null, though {named!r} is there: run "
                "`unitmean repro` or `unitmean configure` with the same overrides as before, which record it"
            )


def _local(path: Path) -> list[tuple[str, int, str | int]]:
    if path.suffix == ".py":
        path = path.resolve()
    paths = [path] if path.exists() else map(Path, glob.glob(BRACES.sub("*", str(path))))
    named = chain.from_iterable(map(_files, paths))
    files = [(file, file.stat()) for file in named if file.is_file()]
    whole = sum(facts.st_size for _, facts in files) <= READ
    return [
        (os.path.relpath(file, path.parent), facts.st_size, sha256(file) if whole else facts.st_mtime_ns)
        for file, facts in files
    ]


def _files(path: Path) -> Iterable[Path]:
    """All files of a folder; a file, and of Python code what it imports beside it, too."""
    if path.is_dir():
        return walk(path)
    return with_imports(path) if path.suffix == ".py" else [path]


def _remote(address: str) -> list[tuple[str, int, str]]:
    try:
        return Remote(BRACES.sub("*", address)).facts()
    except DataError as error:
        print(f"note: whether {address!r} changed isn't known: {error}", file=sys.stderr)
        return []
