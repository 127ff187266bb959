"""Where images lie: in a folder, in a plain tar or in Parquet, read in place and never extracted."""

import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from unitmean.errors import DataError
from unitmean.pipeline.disk.remote import Remote
from unitmean.pipeline.index.tables import SUFFIX, list_table, read_row

Container = Path | Remote

SUFFIXES = frozenset(".jpg .jpeg .png .webp .bmp .gif .tif .tiff .ppm .pgm".split())
# How files begin that hold a compressed tar.
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


@dataclass(frozen=True)
class Entry:
    """One image in a container: its name there and its bytes.

    `offset` is None for a file in a folder, the row's number in Parquet.
    """

    name: str
    offset: int | None
    size: int


def list_images(container: Container) -> list[Entry]:
    """The images of a folder and its subfolders or of a tar, by suffix, sorted by name.

    Names in which a component starts with a dot are passed over: macOS puts `._a.jpg` beside `a.jpg`.
    Raises DataError where there is no image, or where one can't be read in place.
    """
    try:
        entries, others = _list(container)
    except OSError as error:
        raise DataError(
            f"dataset.path must be readable; found {str(container)!r}: {error}; check it and its permissions"
        ) from error
    if not entries:
        held = (
            ", ".join(f"{n} {suffix or '(no suffix)'}" for suffix, n in others.most_common(5))
            or "no file at all"
        )
        raise DataError(
            f"dataset.path must hold images ({', '.join(sorted(SUFFIXES))}); "
            f"found none in {str(container)!r}, but {held}: give a folder or a tar with images"
        )
    return sorted(entries, key=lambda entry: entry.name)


def read_bytes(container: Container, entry: Entry) -> bytes:
    """The image's bytes as they lie in the container; DataError if they are no longer there."""
    path = container / entry.name if entry.offset is None else container
    try:
        data = _read(path, entry)
    except OSError as error:
        raise DataError(
            f"image {entry.name!r} must be readable; found {error} at {str(path)!r}: "
            "bring it back, or index again with `dvc repro -f index_images`"
        ) from error
    if len(data) != entry.size:
        raise DataError(
            f"image {entry.name!r} in {str(container)!r} must have {entry.size} bytes; found {len(data)}: "
            "it changed or was cut since it was listed, run `dvc repro -f index_images`"
        )
    return data


def _read(path: Container, entry: Entry) -> bytes:
    if entry.offset is not None and path.suffix == SUFFIX:
        return read_row(path, entry.offset)
    if isinstance(path, Remote):
        return path.read(entry.offset, entry.size)
    with path.open("rb") as file:
        file.seek(entry.offset or 0)
        # A file is read to its end: one that grew since it was listed must not look unchanged.
        return file.read() if entry.offset is None else file.read(entry.size)


def _list(container: Container) -> tuple[list[Entry], Counter[str]]:
    if container.suffix == SUFFIX and not container.is_dir():
        return [Entry(*row) for row in list_table(container)], Counter()
    if not container.is_dir():
        return _list_tar(container)
    return _list_remote(container) if isinstance(container, Remote) else _list_folder(container)


def _list_remote(folder: Remote) -> tuple[list[Entry], Counter[str]]:
    entries, others = [], Counter[str]()
    for name, size in folder.files():
        if _wanted(name):
            entries.append(Entry(name, None, size))
        else:
            others[PurePosixPath(name).suffix] += 1
    return entries, others


def _list_folder(folder: Path) -> tuple[list[Entry], Counter[str]]:
    entries, others = [], Counter[str]()
    for path in _walk(folder, above=()):
        name = path.relative_to(folder).as_posix()
        if not _wanted(name):
            others[path.suffix] += 1
            continue
        if not path.is_file():
            raise _refusal(folder, name, "a broken link or no regular file")
        entries.append(Entry(_text(folder, name), None, path.stat().st_size))
    return entries, others


def _walk(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """All files below `folder`, those of linked folders too: data sets are often put together so."""
    real = folder.resolve()
    if real in above:
        raise DataError(f"folders must not lie in themselves; found the link {str(folder)!r}: remove it")
    for path in folder.iterdir():
        if path.is_dir():
            if not path.name.startswith("."):
                yield from _walk(path, (*above, real))
        else:
            yield path


def _list_tar(path: Container) -> tuple[list[Entry], Counter[str]]:
    _require_plain(path)
    entries, others = dict[str, Entry](), Counter[str]()
    try:
        with path.open("rb") as opened, tarfile.open(fileobj=opened, mode="r:") as tar:
            for member in tar:
                name = PurePosixPath(
                    member.name
                ).as_posix()  # without the leading ./ that `tar -C x .` writes
                if not _wanted(name) or member.isdir():
                    others[PurePosixPath(name).suffix] += member.isreg()
                    continue
                if not member.isreg() or member.issparse():
                    raise _refusal(path, name, "a link, a sparse file or no file")
                if name.startswith("/") or ".." in PurePosixPath(name).parts:
                    raise _refusal(path, name, "a name that leads out of the archive")
                if name in entries:
                    raise _refusal(path, name, "the same name twice")
                entries[name] = Entry(_text(path, name), member.offset_data, member.size)
            end = tar.offset
    except tarfile.TarError as error:
        raise _damaged(path, str(error)) from error
    # tarfile takes a damaged or missing header for the end of the archive; a real end is a block of zeros.
    with path.open("rb") as file:
        file.seek(end)
        block = file.read(tarfile.BLOCKSIZE)
    if block != bytes(tarfile.BLOCKSIZE):
        raise _damaged(path, f"no header and no end at byte {end}")
    return list(entries.values()), others


def _require_plain(path: Container) -> None:
    with path.open("rb") as file:
        start = file.read(6)
    for magic, kind in COMPRESSED.items():
        if start.startswith(magic):
            raise DataError(
                f"dataset.path must be a plain tar, which can be read in place; {str(path)!r} is compressed "
                f"with {kind}: decompress it first, and give the .tar"
            )


def _wanted(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not any(
        part.startswith(".") and part != ".." for part in path.parts
    )


def _text(container: Container, name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise _refusal(container, name, "a name that isn't UTF-8") from None
    return name


def _refusal(container: Container, name: str, found: str) -> DataError:
    return DataError(
        f"images must be plain files with a name of their own; found {found} for {name!r} "
        f"in {str(container)!r}: pack the images again, or give the extracted folder"
    )


def _damaged(path: Container, found: str) -> DataError:
    return DataError(
        f"dataset.path must be a folder or a whole tar; {str(path)!r} is neither: {found}; "
        "a tar must have been cut or damaged: compare its size and hash with the original's, or get it again"
    )
