"""Tars, zips and Parquet files, broken and hostile."""

import gzip
import io
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from bad_case import Case
from bad_images import encoded, noise, put

COMMAND = "index_images dataset=folder dataset.path=images.tar dataset.name=odd"
TABLE = "index_images dataset=parquet dataset.path=images.parquet dataset.name=odd"
IMAGE = encoded(noise())


def member(name: str, kind: bytes = tarfile.REGTYPE, **more: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(IMAGE) if kind == tarfile.REGTYPE else 0
    for key, value in more.items():
        setattr(info, key, value)
    return info


def packed(*members: tarfile.TarInfo, format: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as tar:
        for info in members:
            tar.addfile(info, io.BytesIO(IMAGE) if info.size == len(IMAGE) else None)
    return file.getvalue()


def tar(what: str, data: Callable[[], bytes], outcome: str) -> Case:
    return Case(what, put("images.tar", data), COMMAND, outcome)


def claiming(size: int) -> bytes:
    """A member whose header claims `size` bytes; behind it lie few."""
    info = member("a.png")
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT) + IMAGE + bytes(2048)


def flipped() -> bytes:
    data = bytearray(packed(member("a.png"), member("b.png")))
    second = bytes(data).index(b"b.png")
    data[second] ^= 0xFF
    return bytes(data)


def blanked() -> bytes:
    data = packed(member("a.png"), member("b.png"))
    second = data.index(b"b.png")
    return data[:second] + bytes(1024) + data[second + 1024 :]


def names(folder: Path, *expected: str) -> None:
    rows = pq.read_table(folder / "data/odd/images/index.parquet").to_pylist()
    assert [row["name"] for row in rows] == [*expected]


def headed(records: bytes) -> bytes:
    """A PAX header with these records in front of a member."""
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    return header.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0") + packed(member("a.png"))


def nested() -> bytes:
    """As ILSVRC's training images are packed."""
    inner, file = packed(member("a.png")), io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.addfile(member("n01440764.tar", size=len(inner)), io.BytesIO(inner))
    return file.getvalue()


ARCHIVES = [
    tar("a name that leads out, ../a.png", lambda: packed(member("../a.png")), "leads out of the archive"),
    tar("an absolute name, /a.png", lambda: packed(member("/a.png")), "leads out of the archive"),
    tar("one name twice", lambda: packed(member("a.png"), member("./a.png")), "the same name twice"),
    tar("a hard link", lambda: packed(member("a.png"), member("b.png", tarfile.LNKTYPE, linkname="a.png")),
        "a link"),
    tar("a symbolic link to /etc/passwd",
        lambda: packed(member("a.png", tarfile.SYMTYPE, linkname="/etc/passwd")), "a link"),
    tar("a sparse member", lambda: packed(member("a.png", tarfile.GNUTYPE_SPARSE),
        format=tarfile.GNU_FORMAT), "a sparse file"),
    tar("a device", lambda: packed(member("a.png", tarfile.CHRTYPE)), "no file"),
    Case("a name that isn't UTF-8", put("images.tar", lambda: packed(
        member("\udcff.png"), format=tarfile.GNU_FORMAT)), COMMAND, "read; the name stands as `\\xff.png`",
        check=lambda folder: names(folder, "\\xff.png")),
    tar("cut in the first image", lambda: packed(member("a.png"))[:1000], "cut or damaged"),
    tar("cut between two images", lambda: packed(member("a.png"), member("b.png"))[:5632], "cut or damaged"),
    tar("a damaged header", flipped, "no header and no end"),
    tar("a header of zeros, and zeros where its image begins", blanked, "an end at byte .* and more at byte"),
    tar("two tars joined by cat", lambda: packed(member("a.png")) + packed(member("b.png")),
        "several tars joined by cat"),
    tar("a header that claims 8 GB", lambda: claiming(8 << 30), "cut or damaged"),
    tar("a header that claims -1 bytes", lambda: claiming(-1), "cut or damaged"),
    tar("a PAX header with a size that is no number", lambda: headed(b"13 size=many\n"), "cut or damaged"),
    tar("a PAX header with a size below zero", lambda: headed(b"12 size=-99\n"), "cut or damaged"),
    tar("gzip where a tar is expected", lambda: gzip.compress(packed(member("a.png")), mtime=0),
        "compressed with gzip"),
    tar("a JPEG named .tar", lambda: encoded(noise(), "JPEG"), "is an image"),
    tar("zero bytes", lambda: b"", "is none"),
    tar("an empty tar", lambda: packed(), "no file at all"),
    tar("a tar of tars", nested, "but 1 .tar"),
]  # fmt: skip


def zipped(*names: str, method: int = zipfile.ZIP_DEFLATED, data: bytes = IMAGE) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's, of a name twice
        for name in names:
            archive.writestr(name, data)
    return file.getvalue()


def patched(data: bytes, header: bytes, place: int, value: bytes) -> bytes:
    """With these bytes in the header of the first member, counted from the header's start."""
    changed = bytearray(data)
    start = data.index(header) + place
    changed[start : start + len(value)] = value
    return bytes(changed)


def damaged_crc() -> bytes:
    return patched(zipped("a.png"), b"PK\x01\x02", 16, b"\0\0\0\0")


ZIP = "index_images dataset=folder dataset.path=images.zip dataset.name=odd"
STORED = zipfile.ZIP_STORED


def zip_case(what: str, data: Callable[[], bytes], outcome: str) -> Case:
    return Case(what, put("images.zip", data), ZIP, outcome)


def taken_zip(what: str, data: Callable[[], bytes], outcome: str) -> Case:
    return Case(what, put("images.zip", data), ZIP, outcome, check=lambda folder: names(folder, "a.png"))


ZIPS = [
    taken_zip("stored members", lambda: zipped("a.png", method=STORED), "read in place"),
    taken_zip("packed members", lambda: zipped("a.png"), "read in place"),
    taken_zip("members of macOS, `__MACOSX/._a.png`", lambda: zipped("a.png", "__MACOSX/._a.png"),
              "passed over, and counted"),
    zip_case("a name that leads out, ../a.png", lambda: zipped("../a.png"), "leads out of the archive"),
    zip_case("an absolute name, /a.png", lambda: zipped("/a.png"), "leads out of the archive"),
    zip_case("one name twice", lambda: zipped("a.png", "a.png"), "the same name twice"),
    zip_case("a password", lambda: patched(zipped("a.png"), b"PK\x01\x02", 8, b"\x01\0"),
             "needs a password"),
    zip_case("a member that claims 4 GB", lambda: patched(
        zipped("a.png"), b"PK\x01\x02", 24, b"\xf0\xff\xff\xff"), "claims 4,294,967,280 bytes"),
    zip_case("a method that nobody knows", lambda: patched(zipped("a.png"), b"PK\x01\x02", 10, b"\x4d\0"),
             "method is not supported|must be a whole zip"),
    zip_case("a member whose checksum is another's", damaged_crc, "Bad CRC-32"),
    zip_case("a header that lies elsewhere", lambda: patched(
        zipped("a.png", method=STORED), b"PK\x01\x02", 42, b"\x05\0\0\0"), "no header"),
    zip_case("cut in half", lambda: (lambda d: d[: len(d) // 2])(zipped("a.png")), "cut or damaged"),
    zip_case("two zips joined by cat", lambda: zipped("a.png") + zipped("b.png"),
             "several zips joined by cat"),
    zip_case("an empty zip", lambda: zipped(), "no file at all"),
    zip_case("a zip of text", lambda: zipped("a.txt", data=b"words"), "but 1 .txt"),
    Case("a zip named .tar", put("images.tar", lambda: zipped("a.png")), ZIP, "name that ends in .zip",
         ("dataset.path=images.tar",)),
]  # fmt: skip


def table(columns: dict[str, object]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, compression="none")
    return file.getvalue()


def hub(*cells: bytes | None, path: str | None = "a.png") -> bytes:
    """As on the hub: structs of bytes and path."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return table({"image": pa.array([{"bytes": cell, "path": path} for cell in cells], kind)})


def parquet(what: str, data: Callable[[], bytes], outcome: str, *more: str) -> Case:
    return Case(what, put("images.parquet", data), TABLE, outcome, more)


def damaged(near: bytes) -> bytes:
    """A page whose header, in front of `near`, is no header; the footer is whole."""
    data = bytearray(hub(IMAGE))
    place = bytes(data).index(near)
    data[4:place] = b"\xff" * (place - 4)
    return bytes(data)


def named(folder: Path) -> None:
    rows = pq.read_table(folder / "data/odd/images/index.parquet").to_pylist()
    assert [row["name"] for row in rows] == ["00000000/../../a.png"]
    assert not (folder / "a.png").exists() and not (folder.parent / "a.png").exists()


PARQUET = [
    parquet("no column of images", lambda: table({"text": ["a"], "label": [1]}), "found text, label"),
    parquet("a column of numbers named image", lambda: table({"image": [1, 2]}), "found image"),
    parquet("cut in half", lambda: (lambda d: d[: len(d) // 2])(hub(IMAGE)), "whole Parquet files"),
    parquet("a damaged page", lambda: damaged(IMAGE[:8]), "whole Parquet files"),
    parquet("text named .parquet", lambda: b"no table" * 4, "whole Parquet files"),
    parquet("zero bytes", lambda: b"", "whole Parquet files"),
    parquet("no rows", lambda: hub(), "no file at all"),
    parquet("a row without bytes", lambda: hub(IMAGE, None), "an empty file"),
    parquet("a cut image in a row", lambda: hub(IMAGE, IMAGE[:99]), "must decode completely"),
    Case("a path that leads out, ../../a.png", put("images.parquet", lambda: hub(IMAGE, path="../../a.png")),
         TABLE, "a name and nothing else: nothing is ever extracted to it", check=named),
]  # fmt: skip
