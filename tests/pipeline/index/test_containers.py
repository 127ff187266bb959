import gzip
import io
import os
import tarfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import fsspec
import pytest
from PIL import Image

from unitmean.errors import DataError
from unitmean.pipeline.disk.remote import Remote
from unitmean.pipeline.index import containers as module
from unitmean.pipeline.index.containers import list_images, listing, read_bytes
from unitmean.pipeline.index.entries import Entry

Member = tuple[str, bytes] | tarfile.TarInfo


def pack(path: Path, members: Sequence[Member], format: int = tarfile.USTAR_FORMAT) -> Path:
    """A tar of (name, content) or ready TarInfo members."""
    with tarfile.open(path, "w", format=format) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            tar.addfile(info, io.BytesIO(member[1]))
    return path


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "a.jpg"
    return info


def test_folder_is_read_recursively_by_suffix_and_sorted(tmp_path: Path) -> None:
    for name in ("b.JPEG", "a/c.png", "a/notes.txt", "._b.JPEG", ".hidden/d.jpg", "list.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    entries = list_images(tmp_path)
    assert entries == [Entry("a/c.png", None, 7), Entry("b.JPEG", None, 6)]
    assert [read_bytes(tmp_path, entry) for entry in entries] == [b"a/c.png", b"b.JPEG"]


def test_linked_folders_are_followed_and_loops_refused(tmp_path: Path) -> None:
    images, other = tmp_path / "images", tmp_path / "other"
    images.mkdir()
    other.mkdir()
    (other / "a.jpg").write_bytes(b"a")
    (images / "linked").symlink_to(other)
    assert [entry.name for entry in list_images(images)] == ["linked/a.jpg"]
    (other / "back").symlink_to(images)
    with pytest.raises(DataError, match="must not lie in themselves"):
        list_images(images)


def test_folder_refuses_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="broken link.*gone.jpg'"):
        list_images(tmp_path)
    (tmp_path / "gone.jpg").unlink()
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match="no regular file at .*pipe.jpg'"):
        list_images(tmp_path)


def test_names_that_are_not_utf8_are_read(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"latin")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    (tmp_path / "café.jpg").write_bytes(b"utf-8")
    entries = list_images(tmp_path)
    assert [entry.name for entry in entries] == ["caf\\xe9.jpg", "café.jpg"]
    assert [read_bytes(tmp_path, entry) for entry in entries] == [b"latin", b"utf-8"]
    (tmp_path / "caf\\xe9.jpg").write_bytes(b"backslash")
    with pytest.raises(DataError, match="the same name twice"):
        list_images(tmp_path)
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).unlink()
    assert read_bytes(tmp_path, Entry(entries[0].name, None, 9)) == b"backslash"


JPEG_START, PNG_START = b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"


def test_other_names_are_decided_by_the_first_bytes(tmp_path: Path) -> None:
    images = {"photo": JPEG_START, "scan.dat": PNG_START, "a.jfif": b"?", "b.avif": b"?", "sub/c": b"P6 4 4"}
    others = {
        "notes": b"P6 is a format",
        "BM.txt": b"BMW, a car of Munich",
        "list.csv": b"",
        ".b": JPEG_START,
    }
    for name, data in (images | others).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "pipe")
    found = listing(tmp_path)
    assert [entry.name for entry in found.entries] == sorted(images)
    assert len(found.left_out) == 5 and str(found.left_out).startswith("2 (no suffix), 1 ")
    assert {kind: count for kind, (count, _) in found.left_out.found.items()} == {
        "(no suffix)": 2,
        ".txt": 1,
        ".csv": 1,
        "with a leading dot": 1,
    }


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_is_read_in_place(tmp_path: Path, format: int) -> None:
    long = "n01440764/" + "x" * 90 + ".jpg"
    members = [("./b.JPEG", b"bb"), ("notes.txt", b"?"), (long, b"l" * 700), ("._b.JPEG", b"!")]
    tar = pack(tmp_path / "t.tar", members, format)
    before = sorted(tmp_path.iterdir())
    entries = list_images(tar)
    assert [(entry.name, entry.size) for entry in entries] == [("b.JPEG", 2), (long, 700)]
    assert [read_bytes(tar, entry) for entry in entries] == [b"bb", b"l" * 700]
    raw = tar.read_bytes()
    assert all(raw[entry.offset :].startswith(read_bytes(tar, entry)) for entry in entries)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ([("a.jpg", b"1"), link("b.jpg", tarfile.LNKTYPE)], "a link"),
        ([("a.jpg", b"1"), link("b.jpg", tarfile.SYMTYPE)], "a link"),
        ([link("b.jpg", tarfile.FIFOTYPE)], "no file"),
        ([("a.jpg", b"1"), ("./a.jpg", b"2")], "the same name twice"),
        ([("../a.jpg", b"1")], "leads out"),
        ([("/a.jpg", b"1")], "leads out"),
    ],
)
def test_tar_refuses_members_it_can_not_read_in_place(
    tmp_path: Path, members: list[Member], found: str
) -> None:
    with pytest.raises(DataError, match=found):
        list_images(pack(tmp_path / "t.tar", members))


def test_tar_refuses_sparse_members(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.jpg")
    info.type = tarfile.GNUTYPE_SPARSE
    with pytest.raises(DataError, match="sparse"):
        list_images(pack(tmp_path / "t.tar", [info], tarfile.GNU_FORMAT))


def test_compressed_tar_is_refused_by_its_content(tmp_path: Path) -> None:
    plain = pack(tmp_path / "t.tar", [("a.jpg", b"1")])
    (tmp_path / "z.tar").write_bytes(gzip.compress(plain.read_bytes()))
    with pytest.raises(DataError, match="compressed with gzip: decompress it"):
        list_images(tmp_path / "z.tar")


def test_tar_cut_anywhere_is_refused(tmp_path: Path) -> None:
    tar = pack(tmp_path / "t.tar", [("a.jpg", b"1" * 600), ("b.jpg", b"2" * 600)])
    raw = tar.read_bytes()
    second = 512 + 1024  # where the second header starts
    end = 2 * second  # where the zeros start
    # In the first data, at the second header, within it, in its data, and before the zeros.
    for length in (0, 100, 700, second, second + 200, end - 300, end):
        tar.write_bytes(raw[:length])
        with pytest.raises(DataError, match="cut or damaged"):
            list_images(tar)
    tar.write_bytes(raw[: end + 512])
    assert len(list_images(tar)) == 2


def test_tar_with_a_damaged_header_is_refused(tmp_path: Path) -> None:
    tar = pack(tmp_path / "t.tar", [("a.jpg", b"1"), ("b.jpg", b"2")])
    raw = bytearray(tar.read_bytes())
    raw[1024 + 10] ^= 0xFF  # in the second member's name, so that its checksum fails
    tar.write_bytes(raw)
    with pytest.raises(DataError, match="no header and no end at byte 1024"):
        list_images(tar)


def test_tars_joined_by_cat_are_refused(tmp_path: Path) -> None:
    one, two = (pack(tmp_path / f"{n}.tar", [(f"{n}.jpg", b"1" * 600)]).read_bytes() for n in "ab")
    (tmp_path / "t.tar").write_bytes(one + two)
    with pytest.raises(DataError, match=f"an end at byte 1536 and more at byte {len(one)}.*tar -A"):
        list_images(tmp_path / "t.tar")
    url = f"memory://{uuid.uuid4().hex}/t.tar"
    with fsspec.open(url, "wb") as file:
        file.write(one + two)
    with pytest.raises(DataError, match="joined by cat.*dataset=webdataset"):
        list_images(Remote(url))


def test_tar_with_a_header_of_zeros_is_refused(tmp_path: Path) -> None:
    members = [(name, b"1" * 600) for name in ("a.jpg", "b.jpg", "c.jpg")]
    tar = pack(tmp_path / "t.tar", members)
    raw = bytearray(tar.read_bytes())
    raw[1536 : 1536 + 1024] = bytes(1024)  # the second member's header, and the beginning of its image
    tar.write_bytes(raw)
    with pytest.raises(DataError, match="an end at byte 1536 and more at byte 2560"):
        list_images(tar)


def test_tar_may_be_padded_with_any_number_of_zeros(tmp_path: Path) -> None:
    tar = pack(tmp_path / "t.tar", [("a.jpg", b"1")])
    os.truncate(tar, (5 << 20) + 3)
    assert [entry.name for entry in list_images(tar)] == ["a.jpg"]
    with tar.open("ab") as file:
        file.write(b"!")
    with pytest.raises(DataError, match=f"more at byte {(5 << 20) + 3}"):
        list_images(tar)


def test_other_files_are_no_tar(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8" * 600)
    with pytest.raises(DataError, match="folder, a zip or a whole tar"):
        list_images(tmp_path / "a.jpg")


def test_without_images_the_message_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file at all"):
        list_images(tmp_path)
    # ILSVRC's training set is a tar of tars.
    tar = pack(tmp_path / "train.tar", [("n01440764.tar", b"1"), ("n01443537.tar", b"1")])
    with pytest.raises(DataError, match="but 2 .tar"):
        list_images(tar)


def test_one_reader_keeps_a_few_archives_open_until_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_OPEN", 2)
    tars = [pack(tmp_path / f"{i}.tar", [("a.jpg", b"%d" % i), ("b.jpg", b"b%d" % i)]) for i in range(4)]
    listed = [(tar, entry) for name in (0, 1) for tar in tars for entry in list_images(tar)[name : name + 1]]
    opened: list[IO[Any]] = []
    plain = Path.open

    def watched(path: Path, mode: str = "r") -> IO[Any]:
        file = plain(path, mode)
        opened.append(file)
        return file

    monkeypatch.setattr(Path, "open", watched)
    with module.Reader() as reader:
        assert [reader.read(tar, entry) for tar, entry in listed[:2] * 3] == [b"0", b"1"] * 3
        assert len(opened) == 2
        found = []
        for tar, entry in listed:
            found.append(reader.read(tar, entry))
            assert sum(not file.closed for file in opened) <= 2
    assert found == [b"0", b"1", b"2", b"3", b"b0", b"b1", b"b2", b"b3"]
    assert all(file.closed for file in opened)


def test_images_that_changed_size_or_went_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"123")
    (entry,) = list_images(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"1234")
    with pytest.raises(DataError, match="must have 3 bytes; found 4"):
        read_bytes(tmp_path, entry)
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(DataError, match="'a.jpg' must be readable"):
        read_bytes(tmp_path, entry)


def test_unreadable_path_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be readable"):
        list_images(tmp_path / "nowhere.tar")


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it"),
        (b"Rar!\x1a\x07", "a RAR archive: unpack it"),
        (b"PK\x07\x08", "the first part of a zip in several parts"),
        (b"GIF89a", "an image: give the folder"),
    ],
)
def test_another_kind_of_file_is_told_for_what_it_is(tmp_path: Path, start: bytes, words: str) -> None:
    (tmp_path / "file").write_bytes(start + bytes(range(256)) * 8)
    with pytest.raises(DataError, match=words):
        list_images(tmp_path / "file")


def test_a_tar_may_begin_with_any_name(tmp_path: Path) -> None:
    source = tmp_path / "GIF89a"
    source.mkdir()
    Image.new("RGB", (4, 4)).save(source / "a.png")
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        tar.add(source / "a.png", "Rar!/a.png")
        tar.add(source / "a.png", "GIF89a/a.png")
    assert len(list_images(tmp_path / "t.tar")) == 2
