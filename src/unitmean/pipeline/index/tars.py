"""Plain tars, read in place: where each image's bytes lie."""

import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from unitmean.errors import DataError
from unitmean.pipeline.disk.remote import Remote
from unitmean.pipeline.index.entries import Entry, escaped, refusal
from unitmean.pipeline.index.kinds import START, LeftOut, by_suffix, hidden, is_image

# How files begin that hold a compressed tar.
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
CHUNK = 1 << 20  # bytes that are read at once behind the end
_UNPACK = "unpack it and give the folder"
# How other archives begin, what they are and what to do.
OTHERS = {
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", _UNPACK),
    b"Rar!": ("a RAR archive", _UNPACK),
    b"PK\x07\x08": ("the first part of a zip in several parts", "put them together (zip -s 0), or unpack it"),
}


def list_tar(path: Path | Remote) -> tuple[list[Entry], LeftOut]:
    """The images of a tar; DataError where it isn't whole, or one of them can't be read in place."""
    _require_plain(path)
    entries, others = dict[str, Entry](), LeftOut()
    try:
        with path.open("rb") as opened, tarfile.open(fileobj=opened, mode="r:") as tar:
            for member in tar:
                # Without the leading ./ that `tar -C x .` writes.
                name = PurePosixPath(escaped(member.name)).as_posix()
                if member.isdir():
                    continue
                if hidden(name) or not (by_suffix(name) or _starts_as_image(opened, member)):
                    others.add(name)
                    continue
                if not member.isreg() or member.issparse():
                    raise refusal(path, name, "a link, a sparse file or no file")
                if name.startswith("/") or ".." in PurePosixPath(name).parts:
                    raise refusal(path, name, "a name that leads out of the archive")
                if name in entries:
                    raise refusal(path, name, "the same name twice")
                entries[name] = Entry(name, member.offset_data, member.size)
            end = tar.offset
    except tarfile.TarError as error:
        raise _damaged(path, str(error)) from error
    _require_end(path, end)
    return list(entries.values()), others


def _require_end(path: Path | Remote, end: int) -> None:
    """DataError unless a block of zeros ends the archive at byte `end` and nothing but zeros follows.

    tarfile takes a damaged or missing header for the end, and a block of zeros even where members follow, as
    between tars that `cat` joined.
    """
    with path.open("rb") as file:
        file.seek(end)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise _damaged(path, f"no header and no end at byte {end}")
        at, zeros = end + tarfile.BLOCKSIZE, bytes(CHUNK)
        while chunk := file.read(CHUNK):
            if chunk != zeros[: len(chunk)]:
                first = at + len(chunk) - len(chunk.lstrip(b"\0"))
                raise _goes_on(path, end, first)
            at += len(chunk)


def _goes_on(path: Path | Remote, end: int, first: int) -> DataError:
    return DataError(
        f"a tar must hold nothing but zeros behind its end; found in {str(path)!r} an end at byte {end} and "
        f"more at byte {first}, which would be left out: either several tars joined by cat (join them by "
        "tar -A, or give a folder with them and dataset=webdataset), or a damaged header (get the tar again)"
    )


def _starts_as_image(file: Any, member: tarfile.TarInfo) -> bool:
    if not member.isreg() or member.issparse():
        return False
    file.seek(member.offset_data)
    return is_image(file.read(min(START, member.size)))


def _require_plain(path: Path | Remote) -> None:
    with path.open("rb") as file:
        start = file.read(6)
    for magic, kind in COMPRESSED.items():
        if start.startswith(magic):
            raise DataError(
                f"dataset.path must be a plain tar, which can be read in place; {str(path)!r} is compressed "
                f"with {kind}: decompress it first, and give the .tar"
            )


def _damaged(path: Path | Remote, found: str) -> DataError:
    # Checked only now: a tar begins with a member's name, which may look like another format's start.
    with path.open("rb") as file:
        start = file.read(START)
    others = [words for magic, words in OTHERS.items() if start.startswith(magic)]
    if is_image(start):
        others.append(("an image", "give the folder that it lies in"))
    for kind, remedy in others:
        return DataError(
            f"dataset.path must be a folder, a zip or a whole tar; {str(path)!r} is {kind}: {remedy}"
        )
    return DataError(
        f"dataset.path must be a folder, a zip or a whole tar; {str(path)!r} is none: {found}; "
        "if it is a tar it was cut or damaged: compare its size and hash with the original's, or get it "
        "again; another archive, or one of several parts, must be unpacked"
    )
