"""Files that the report reads."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pipeline.report.made_up import png

from unitmean.errors import DataError
from unitmean.pipeline.disk.documents import read_csv, read_json
from unitmean.pipeline.report.gather import PICTURES, read_pictures


def test_reads_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    assert read_csv(tmp_path / "a.csv").to_dict("records") == [{"x": 1, "y": 2}]
    (tmp_path / "b.csv").write_text("site,mean\nNA,1\nnull,\n7,0.5\n")
    names = read_csv(tmp_path / "b.csv")
    assert list(names["site"]) == ["NA", "null", "7"]
    assert names["mean"].isna().tolist() == [False, True, False]
    for name in PICTURES:
        (tmp_path / f"{name}.png").write_bytes(png((1, 2, 3)))
    assert set(read_pictures(tmp_path)) == set(PICTURES)


@pytest.mark.parametrize("read", [read_json, read_csv, read_pictures])
@pytest.mark.parametrize("content", [None, b"\x00\xff\xfe{"])
def test_what_cannot_be_used_is_named(
    tmp_path: Path, read: Callable[[Path], object], content: bytes | None
) -> None:
    path = tmp_path / "broken"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken.*dvc repro"):
        read(path)
