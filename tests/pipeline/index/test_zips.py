"""Zips are read in place: stored and packed members, and nothing that can't be."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from pipeline.index.same_images import CONTENTS, COUNT, NAMES, in_a_folder, indexed

from unitmean.errors import DataError
from unitmean.pipeline.disk.remote import Remote
from unitmean.pipeline.index.containers import list_images, listing, read_bytes

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def pack(path: Path, members: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("method", METHODS)
def test_a_zip_gives_the_rows_that_a_folder_gives(tmp_path: Path, method: int) -> None:
    expected = in_a_folder(tmp_path)
    members = [(f"val/{name}", data) for name, data in zip(NAMES, CONTENTS, strict=True)]
    path = pack(tmp_path / "val.zip", [("val/", b""), *members, ("val/notes.txt", b"?")], method)
    for container in (path, Remote(path.as_uri())):
        found = listing(container)
        assert len(found.entries) == COUNT and str(found.left_out) == "1 .txt"
        assert {entry.offset is None for entry in found.entries} == {method != zipfile.ZIP_STORED}
        assert indexed([(container, found.entries)], tmp_path)[0] == expected
    assert sorted(file.name for file in tmp_path.iterdir()) == ["index.parquet", "plain", "val.zip"]


def test_stored_members_lie_where_their_offsets_say(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", [("a.jpg", b"first"), ("n" * 80 + ".jpg", b"second")])
    raw = path.read_bytes()
    for entry in list_images(path):
        assert entry.offset is not None
        assert raw[entry.offset : entry.offset + entry.size] == read_bytes(path, entry)
    # A zip may lie behind something else, as in a program that unpacks itself.
    path.write_bytes(b"#!/bin/sh\n" * 9 + raw)
    with pytest.raises(DataError, match="none"):
        list_images(path)


@pytest.mark.parametrize("method", METHODS[:2])
def test_zips_joined_by_cat_are_refused(tmp_path: Path, method: int) -> None:
    one, two = (pack(tmp_path / f"{n}.zip", [(f"{n}.jpg", b"1")], method).read_bytes() for n in "ab")
    (tmp_path / "t.zip").write_bytes(one + two)
    with pytest.raises(DataError, match=f"list none of the first {len(one)} bytes.*joined by cat"):
        list_images(tmp_path / "t.zip")


def test_packed_members_without_a_suffix_are_looked_into(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", [("photo", CONTENTS[0]), ("words", b"?")], zipfile.ZIP_DEFLATED)
    assert [entry.name for entry in list_images(path)] == ["photo"]


def test_a_zip_that_changed_is_read_again(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", [("a.jpg", b"first")], zipfile.ZIP_DEFLATED)
    (entry,) = list_images(path)
    assert read_bytes(path, entry) == b"first"
    pack(path, [("a.jpg", b"other, and longer")], zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match="must have 5 bytes; found 17"):
        read_bytes(path, entry)
    path.unlink()
    with pytest.raises(DataError, match="must be"):
        read_bytes(path, entry)


def test_a_zip_by_another_name_is_refused_as_one(tmp_path: Path) -> None:
    path = pack(tmp_path / "images.tar", [("a.jpg", b"?")])
    with pytest.raises(DataError, match="a zip must have a name that ends in .zip.*rename it"):
        list_images(path)
