"""Files and folders behind any protocol that fsspec knows: s3://, gs://, memory://, …"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import has_magic
from typing import Any

from unitmean.errors import DataError


def is_remote(path: str) -> bool:
    """Whether a path is an address such as s3://bucket/key."""
    return "://" in path


@dataclass(frozen=True)
class Remote:
    """A file or folder at an address, with those methods of a Path that containers need."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        return self.url.rstrip("/").rpartition("/")[2]

    @property
    def suffix(self) -> str:
        return "." + self.name.rpartition(".")[2] if "." in self.name else ""

    def exists(self) -> bool:
        with self._reaching() as (system, path):
            return bool(system.exists(path))

    def is_dir(self) -> bool:
        with self._reaching() as (system, path):
            return bool(system.isdir(path))

    def open(self, mode: str = "rb") -> Any:
        """Open it; the file object is of the protocol's own kind."""
        with self._reaching() as (system, path):
            return system.open(path, mode)

    def read(self, offset: int | None, size: int) -> bytes:
        """One range of the file, in one request; with no offset all of it."""
        with self._reaching() as (system, path):
            end = None if offset is None else offset + size
            content: bytes = system.cat_file(path, start=offset, end=end)
            return content

    def files(self) -> list[tuple[str, int]]:
        """Names below this folder, and sizes in bytes."""
        with self._reaching() as (system, path):
            found = system.find(path, detail=True)
            root = path.rstrip("/") + "/"
            return [(name.removeprefix(root), int(facts["size"])) for name, facts in sorted(found.items())]

    def facts(self) -> list[tuple[str, int, str]]:
        """Of the file, of all files in the folder, or of those that match a pattern: name, size, time or tag.

        Protocols tell of changes by different facts; what they don't tell is left out.
        """
        told = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "updated", "created")
        with self._reaching() as (system, path):
            places = system.glob(path) if has_magic(path) else [path]
            found = [item for place in places for item in system.find(place, detail=True).items()]
            return [
                (name, int(facts.get("size") or 0), repr([str(facts[key]) for key in told if key in facts]))
                for name, facts in found
            ]

    def glob(self) -> list["Remote"]:
        """The files and folders that match the address as a pattern."""
        with self._reaching() as (system, path):
            return [Remote(str(system.unstrip_protocol(found))) for found in sorted(system.glob(path))]

    def __truediv__(self, name: str) -> "Remote":
        return Remote(f"{self.url.rstrip('/')}/{name}")

    @contextmanager
    def _reaching(self) -> Iterator[tuple[Any, str]]:
        # Slow to import, and most runs have no use for it.
        from fsspec.core import url_to_fs

        try:
            yield url_to_fs(self.url)
        except ImportError as error:
            raise DataError(
                f"an address needs the package that speaks its protocol; found for {self.url!r}: {error}: "
                "install it into this environment"
            ) from error
        except Exception as error:  # each protocol raises errors of its own
            raise DataError(
                f"{self.url!r} must be readable; found {type(error).__name__}: {error}; "
                "check the address and your credentials"
            ) from error
