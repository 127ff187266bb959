"""An archive from an address, as a plain tar that is read in place."""

import bz2
import gzip
import lzma
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unitmean.disk.atomic import writing
from unitmean.errors import DataError
from unitmean.pipeline.disk.download import download

# What opens a compressed file, by the bytes with which it begins.
OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}


def fetch_tar(url: str, digest: str, path: Path, partial: Path) -> None:
    """Download a tar, or a compressed one, check it, and write it plain to `path`.

    `digest` is its sha256, or "md5:" and its md5. Raises DownloadError, and DataError where it is damaged.
    """
    archive = partial / f"{path.name}.download"
    download(url, archive, digest, partial, section="dataset")
    try:
        decompress(archive, path)
    finally:
        archive.unlink(missing_ok=True)


def decompress(archive: Path, path: Path) -> None:
    """Write the archive without its compression, if it has any."""
    with archive.open("rb") as file:
        start = file.read(6)
    opener = next((opener for magic, opener in OPENERS.items() if start.startswith(magic)), None)
    try:
        with writing(path) as temporary, temporary.open("wb") as target:
            with opener(archive) if opener else archive.open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(
            f"the archive must decompress to a tar; found {str(archive)!r}: {error}; download it again"
        ) from error
