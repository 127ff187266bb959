"""Web-dataset shards, Parquet and addresses give the rows that a plain folder gives."""

import io
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pipeline.index.same_images import CONTENTS, COUNT, NAMES, Contents, in_a_folder, indexed, tar_bytes
from pipeline.sources.asking import ask, parts, request

from unitmean.errors import DataError
from unitmean.pipeline.disk.remote import Remote, is_remote
from unitmean.pipeline.index.containers import list_images, read_bytes
from unitmean.pipeline.index.index import load_index, place
from unitmean.pipeline.index.kinds import LeftOut
from unitmean.pipeline.sources.images.source import existing
from unitmean.pipeline.sources.wildcards import containers, expand


def parquet(
    numbers: Iterable[int], path: Path | None = None, *, column: str = "image", compression: str = "snappy"
) -> bytes:
    """As the hub writes it: image is a struct of bytes and path, in small row groups."""
    if column == "image":
        cells = pa.array([{"bytes": CONTENTS[n], "path": NAMES[n]} for n in numbers])
    else:
        cells = pa.array([CONTENTS[n] for n in numbers])
    file = io.BytesIO()
    table = pa.table({"label": pa.array([n % 3 for n in numbers]), column: cells})
    pq.write_table(table, file, row_group_size=2, compression=compression)
    return file.getvalue()


@pytest.fixture
def expected(tmp_path: Path) -> Contents:
    return in_a_folder(tmp_path)


@pytest.fixture
def memory() -> str:
    """An address in memory, in a bucket of its own."""
    return f"memory://{uuid.uuid4().hex}"


def put(url: str, data: bytes) -> None:
    with fsspec.open(url, "wb") as file:
        file.write(data)


@pytest.mark.parametrize("path", ["shards", "shards/train-*.tar", "shards/train-{000..001}.tar"])
def test_web_dataset_shards(tmp_path: Path, expected: Contents, path: str) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "train-000.tar").write_bytes(tar_bytes(range(4)))
    (tmp_path / "shards" / "train-001.tar").write_bytes(tar_bytes(range(4, COUNT)))
    found, index = indexed(parts(ask("webdataset", tmp_path, path=path, expected=COUNT)), tmp_path)
    assert found == expected
    assert {row.container for row in index.rows} == {"shards/train-000.tar", "shards/train-001.tar"}
    assert {row.label for row in index.rows} == {"n00000000", "n00000001", "n00000002"}
    with pytest.raises(DataError, match="asks for 9 images; found 7"):
        ask("webdataset", tmp_path, path=path, expected=9)


@pytest.mark.parametrize("column", ["image", "bytes"])
@pytest.mark.parametrize("compression", ["snappy", "none"])
def test_parquet(tmp_path: Path, expected: Contents, column: str, compression: str) -> None:
    (tmp_path / "data").mkdir()
    for name, numbers in (("val-0.parquet", range(5)), ("val-1.parquet", range(5, COUNT))):
        (tmp_path / "data" / name).write_bytes(parquet(numbers, column=column, compression=compression))
    found, index = indexed(parts(ask("parquet", tmp_path, path="data", expected=None)), tmp_path)
    assert found == expected
    if column == "image":
        assert {row.label for row in index.rows} == {"n00000000", "n00000001", "n00000002"}


def test_parquet_that_changed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet(range(4)))
    _, index = indexed(parts(ask("parquet", tmp_path, path=str(path), expected=None)), tmp_path)
    other = tmp_path / "b.parquet"
    other.write_bytes(parquet(range(3, COUNT)))
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "a.parquet").write_bytes(other.read_bytes())
    elsewhere = load_index(tmp_path / "index.parquet", moved)
    with pytest.raises(DataError, match="changed"):
        [elsewhere.read(row) for row in elsewhere.rows]


def test_parquet_without_images_says_which_columns_it_has(tmp_path: Path) -> None:
    pq.write_table(pa.table({"label": [1], "text": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="column of encoded bytes.*found label, text"):
        ask("parquet", tmp_path, path="a.parquet", expected=None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="whole Parquet files"):
        ask("parquet", tmp_path, path="a.parquet", expected=None)


def test_addresses_of_folders_tars_and_parquet(tmp_path: Path, expected: Contents, memory: str) -> None:
    for n in range(COUNT):
        put(f"{memory}/folder/sub/{NAMES[n]}", CONTENTS[n])
    put(f"{memory}/folder/notes.txt", b"?")
    put(f"{memory}/all.tar", tar_bytes(range(COUNT)))
    for name, numbers in (("0", range(3)), ("1", range(3, COUNT))):
        put(f"{memory}/shards/{name}.tar", tar_bytes(numbers))
        put(f"{memory}/tables/{name}.parquet", parquet(numbers))
    for name in ("folder", "all.tar"):
        found, index = indexed(parts(ask("folder", tmp_path, path=f"{memory}/{name}")), tmp_path)
        assert found == expected and index.rows[0].container == f"{memory}/{name}"
    for source, path in (
        ("webdataset", "shards"),
        ("webdataset", "shards/*.tar"),
        ("webdataset", "shards/{0..1}.tar"),
        ("parquet", "tables"),
    ):
        assert (
            indexed(parts(ask(source, tmp_path, path=f"{memory}/{path}", expected=7)), tmp_path)[0]
            == expected
        )


def test_files_by_address_are_files(tmp_path: Path, expected: Contents) -> None:
    container = Remote((tmp_path / "plain").as_uri())
    assert indexed([(container, list_images(container))], tmp_path)[0] == expected


def test_an_image_at_an_address_is_read_in_one_range(
    tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(f"{memory}/all.tar", tar_bytes(range(COUNT)))
    container = Remote(f"{memory}/all.tar")
    entry = list_images(container)[3]
    assert entry.offset is not None
    asked: list[tuple[int | None, int | None]] = []
    system = fsspec.filesystem("memory")
    original = type(system).cat_file

    def recorded(
        self: Any, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> Any:
        asked.append((start, end))
        return original(self, path, start, end, **kwargs)

    monkeypatch.setattr(type(system), "cat_file", recorded)
    assert len(read_bytes(container, entry)) == entry.size
    assert asked == [(entry.offset, entry.offset + entry.size)]


def test_wrong_addresses_say_what_is_wrong(tmp_path: Path, memory: str) -> None:
    with pytest.raises(DataError, match="found nothing"):
        existing(request(tmp_path, path=f"{memory}/nowhere"))
    with pytest.raises(DataError, match="nonsense://a.*Protocol not known: nonsense"):
        existing(request(tmp_path, path="nonsense://a"))
    with pytest.raises(DataError, match="found nothing at 'memory.*2.tar'"):
        ask("webdataset", tmp_path, path=f"{memory}/{{2..3}}.tar", expected=None)
    with pytest.raises(DataError, match="needs a folder or an archive"):
        ask("webdataset", tmp_path, path=None, expected=None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="found none for 'empty'"):
        ask("parquet", tmp_path, path="empty", expected=None)


def test_braces_and_places(tmp_path: Path) -> None:
    assert expand("a-{08..11}.tar") == [f"a-{n}.tar" for n in ("08", "09", "10", "11")]
    assert expand("{a,b}/{0..1}") == ["a/0", "a/1", "b/0", "b/1"]
    assert expand("plain") == ["plain"]
    assert is_remote("s3://a/b") and not is_remote("/a/b")
    assert place("s3://a/b", tmp_path) == Remote("s3://a/b") and place("x", tmp_path) == tmp_path / "x"
    for name in ("a.tar", "b.tar"):
        (tmp_path / name).touch()
    found = containers("*.tar", tmp_path, ".tar")
    assert found.containers == [tmp_path / "a.tar", tmp_path / "b.tar"] and not found.left_out
    assert len(containers("{a,b}*.tar", tmp_path, ".tar").containers) == 2
    with pytest.raises(DataError, match=r"must lead to .tar files; found none for 'c\*.tar'"):
        containers("{a,c}*.tar", tmp_path, ".tar")
    for name in ("full", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "0.tar").touch()
    with pytest.raises(DataError, match=r"must lead to .tar files; found none for 'empty'"):
        containers("{full,empty}", tmp_path, ".tar")


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize(("source", "suffix"), [("webdataset", ".tar"), ("parquet", ".parquet")])
def test_shards_in_large_letters_are_taken_and_other_files_left_out(
    tmp_path: Path, expected: Contents, memory: str, source: str, suffix: str, remote: bool
) -> None:
    pack = tar_bytes if source == "webdataset" else parquet
    files = {f"0{suffix}": pack(range(4)), f"1{suffix.upper()}": pack(range(4, COUNT))}
    files |= {"README.md": b"?", "more/list.txt": b"?", f"._0{suffix}": b"?"}
    folder = lay(files, memory if remote else str(tmp_path / "shards"))
    found = ask(source, tmp_path, path=folder, expected=COUNT)
    assert indexed(parts(found), tmp_path)[0] == expected
    left_out = sum((part.left_out for part in found), LeftOut()).found
    assert left_out.pop(".cls", (COUNT, ""))[0] == COUNT  # in the tars
    assert left_out == {
        ".md": (1, "README.md"),
        ".txt": (1, "more/list.txt"),
        "with a leading dot": (1, f"._0{suffix}"),
    }


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("webdataset", "001.tar.gz"),
        ("webdataset", "001.TAR.ZST"),
        ("webdataset", "001.tgz"),
        ("webdataset", "more/001.tar"),
        ("webdataset", "more/001.Tar"),
        ("parquet", "1.parquet.gz"),
        ("parquet", "more/1.parquet"),
    ],
)
def test_shards_that_would_be_left_out_are_refused(
    tmp_path: Path, memory: str, source: str, name: str, remote: bool
) -> None:
    shard = "0.tar" if source == "webdataset" else "0.parquet"
    files = {shard: (tar_bytes if source == "webdataset" else parquet)(range(4)), name: b"?"}
    folder = lay(files, memory if remote else str(tmp_path / "shards"))
    with pytest.raises(DataError, match=f"must hold plain .* files.* also {name}: decompress or move"):
        ask(source, tmp_path, path=folder)
    (found,) = ask(source, tmp_path, path=f"{folder}/*{Path(shard).suffix}")  # these alone are meant
    assert len(found.entries) == 4


def test_a_folder_of_shards_may_have_a_name_that_looks_like_a_pattern(tmp_path: Path) -> None:
    folder = lay({"0.tar": tar_bytes(range(4))}, str(tmp_path / "shards [2026]"))
    assert len(ask("webdataset", tmp_path, path=folder)[0].entries) == 4


def test_a_folder_without_shards_says_what_there_is(tmp_path: Path) -> None:
    folder = lay({"a.jpg": b"?", "b.jpg": b"?"}, str(tmp_path / "photos"))
    with pytest.raises(DataError, match=r"found none for '[^']*', but 2 \.jpg: give a folder"):
        ask("webdataset", tmp_path, path=folder)


def lay(files: Mapping[str, bytes], folder: str) -> str:
    for name, data in files.items():
        if is_remote(folder):
            put(f"{folder}/{name}", data)
        else:
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_bytes(data)
    return folder
