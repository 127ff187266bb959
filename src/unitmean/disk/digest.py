"""Digests of files."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def sha256(path: Path) -> str:
    """A file's sha256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(files: Iterable[tuple[str, bytes]]) -> str:
    """The sha256 in hex of files' names and contents, in this order."""
    digest = hashlib.sha256()
    for name, content in files:
        # Hashes have one length, so that no two different sets of files give the same bytes.
        for part in (name.encode(), content):
            digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()
