import csv
import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from unitmean.decode import UndecodableError
from unitmean.errors import DataError
from unitmean.pipeline.index.containers import list_images
from unitmean.pipeline.index.index import (
    Index,
    Row,
    Skipped,
    build_rows,
    index_hash,
    load_index,
    recorded_path,
    write_index,
    write_skipped,
)


def png(n: int, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (5 + n, 4), (n, 0, 0)).convert(mode).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images; the last two are equal."""
    folder = tmp_path / "images"
    folder.mkdir()
    for n in range(12):
        (folder / f"{n:02d}.png").write_bytes(png(min(n, 10), "L" if n == 3 else "RGB"))
    return folder


def rows_of(container: Path, seed: int = 0, skip: bool = False) -> list[Row]:
    return build_rows(container, list_images(container), str(container), seed=seed, skip=skip)[0]


def index_of(folder: Path, path: Path, seed: int = 0) -> Index:
    write_index(path, rows_of(folder, seed))
    return load_index(path)


def test_row_describes_its_image(folder: Path) -> None:
    (row,) = (row for row in rows_of(folder) if row.name == "03.png")
    data = (folder / "03.png").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert row == Row(str(folder), "03.png", None, len(data), digest, 8, 4, "L", None)


def test_order_depends_on_contents_and_seed_only(folder: Path, tmp_path: Path) -> None:
    rows = rows_of(folder)
    names = [row.name for row in rows]
    assert names != sorted(names)
    assert names != [row.name for row in rows_of(folder, seed=1)]
    assert names.index("10.png") + 1 == names.index("11.png")  # equal images by name
    # The same images in a tar, in reverse and under other names: the same order.
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        for path in sorted(folder.iterdir(), reverse=True):
            tar.add(path, f"other/{99 - int(path.stem)}.png")
    assert [row.sha256 for row in rows_of(tmp_path / "t.tar")] == [row.sha256 for row in rows]


def test_order_is_that_of_the_documented_hash(folder: Path) -> None:
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()]
    wanted = sorted(digests, key=lambda digest: hashlib.sha256(f"7{digest}".encode()).digest())
    assert [row.sha256 for row in rows_of(folder, seed=7)] == wanted


def test_an_added_image_leaves_the_others_order(folder: Path) -> None:
    before = rows_of(folder)
    (folder / "new.png").write_bytes(png(100))
    assert [row for row in rows_of(folder) if row.name != "new.png"] == before


def test_parquet_returns_what_was_written_in_equal_bytes(folder: Path, tmp_path: Path) -> None:
    rows = rows_of(folder)
    for name in ("a.parquet", "b.parquet"):
        write_index(tmp_path / name, rows)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert load_index(tmp_path / "a.parquet").rows == tuple(rows)
    assert not pq.read_schema(tmp_path / "a.parquet").metadata


def test_heads_are_nested(folder: Path, tmp_path: Path) -> None:
    index = index_of(folder, tmp_path / "i.parquet")
    assert index.head(None) is index
    assert index.head(5).rows == index.head(9).rows[:5]
    assert len(index.head(12)) == 12
    for n in (0, -1, 13):
        with pytest.raises(DataError, match=f"dataset.subset.* 12 images .* found {n}"):
            index.head(n)


def test_hash_is_of_contents_in_order(folder: Path, tmp_path: Path) -> None:
    index = index_of(folder, tmp_path / "i.parquet")
    joined = "".join(row.sha256 for row in index.rows)
    assert index_hash(index) == hashlib.sha256(joined.encode()).hexdigest()
    assert index_hash(index) != index_hash(index.head(11))
    assert index_hash(index) != index_hash(replace(index, rows=index.rows[::-1]))


def test_reading_checks_the_bytes(folder: Path, tmp_path: Path) -> None:
    index = index_of(folder, tmp_path / "i.parquet")
    row = next(row for row in index.rows if row.name == "05.png")
    data = (folder / "05.png").read_bytes()
    assert index.read(row) == data
    (folder / "05.png").write_bytes(data[:-1] + b"!")
    with pytest.raises(DataError, match="'05.png'.*changed since.*dvc repro -f index_images"):
        index.read(row)


def test_relative_containers_lie_in_the_project(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").touch()
    recorded = recorded_path(folder, tmp_path)
    assert recorded == "images"
    rows, _ = build_rows(folder, list_images(folder), recorded, seed=0, skip=False)
    write_index(tmp_path / "data" / "i.parquet", rows)
    index = load_index(tmp_path / "data" / "i.parquet")
    assert index.root == tmp_path
    assert index.read(index.rows[0]) == (folder / index.rows[0].name).read_bytes()
    moved = load_index(tmp_path / "data" / "i.parquet", root=tmp_path / "elsewhere")
    with pytest.raises(DataError, match="must be readable"):
        moved.read(moved.rows[0])
    assert recorded_path(folder, tmp_path / "project") == str(folder)


def test_corrupt_image_stops_by_name_or_is_listed(folder: Path, tmp_path: Path) -> None:
    (folder / "04.png").write_bytes(png(4)[:40])
    (folder / "05.png").write_bytes(b"no image, really")
    with pytest.raises(UndecodableError, match="'04.png'.*dataset.on_error=skip"):
        rows_of(folder)
    rows, skipped = build_rows(folder, list_images(folder), "images", seed=0, skip=True)
    assert len(rows) == 10
    assert [image.name for image in skipped] == ["04.png", "05.png"]
    write_skipped(tmp_path / "skipped.csv", skipped)
    with (tmp_path / "skipped.csv").open(newline="") as file:
        read = [Skipped(**row) for row in csv.DictReader(file)]
    assert read == skipped and all(image.reason for image in read)


def test_nothing_skipped_is_a_header(tmp_path: Path) -> None:
    write_skipped(tmp_path / "skipped.csv", [])
    assert (tmp_path / "skipped.csv").read_text() == "name,reason\n"


def test_a_vanished_image_is_never_skipped(folder: Path) -> None:
    entries = list_images(folder)
    (folder / "07.png").unlink()
    with pytest.raises(DataError, match="'07.png' must be readable"):
        build_rows(folder, entries, "images", seed=0, skip=True)


def test_all_images_corrupt_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"?")
    with pytest.raises(DataError, match="found none of 1"):
        build_rows(tmp_path, list_images(tmp_path), "images", seed=0, skip=True)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("0/a.jpg", "0"),
        ("val/999/a.jpg", "999"),
        ("1000/a.jpg", None),
        ("007/a.jpg", None),
        ("7.jpg", None),
        ("n01440764/ILSVRC2012_val_00000293.png", "n01440764"),
        ("val/n01440764/a.png", "n01440764"),
        ("n01440764_tench.png", "n01440764"),
        ("ILSVRC2012_val_00000293.png", None),
        ("cats/a.png", None),
        ("n014407645_x.png", None),
    ],
)
def test_label_is_the_synset(tmp_path: Path, name: str, label: str | None) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(0))
    assert rows_of(tmp_path)[0].label == label


def test_other_files_are_no_index(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="index_images"):
        load_index(tmp_path / "index.parquet")
    (tmp_path / "index.parquet").write_text("no Parquet")
    with pytest.raises(DataError, match="index_images"):
        load_index(tmp_path / "index.parquet")
    pq.write_table(pa.table({"mean": np.ones(3)}), tmp_path / "index.parquet")
    with pytest.raises(DataError, match="columns container string, name string.*found mean double"):
        load_index(tmp_path / "index.parquet")


def test_an_index_of_other_types_is_none(folder: Path, tmp_path: Path) -> None:
    write_index(tmp_path / "index.parquet", rows_of(folder))
    table = pq.read_table(tmp_path / "index.parquet")
    place = table.column_names.index("mode")
    table = table.set_column(
        place, pa.field("mode", pa.binary(), nullable=False), table["mode"].cast(pa.binary())
    )
    pq.write_table(table, tmp_path / "index.parquet")
    with pytest.raises(DataError, match="mode string.*found .*mode binary"):
        load_index(tmp_path / "index.parquet")


def test_index_is_a_value(folder: Path, tmp_path: Path) -> None:
    one, two = (index_of(folder, tmp_path / "i.parquet") for _ in range(2))
    assert one == two and isinstance(one, Index)
