import stat
from pathlib import Path

import pytest

from unitmean.pipeline.disk.folders import bytes_below, writing_folder


def test_folder_appears_whole_and_replaces_an_older_one(tmp_path: Path) -> None:
    out = tmp_path / "data" / "images"
    for content in ("old", "new"):
        with writing_folder(out) as folder:
            (folder / content).write_text(content)
            assert not (out / content).exists()
        assert [path.name for path in out.iterdir()] == [content]
    assert [path.name for path in out.parent.iterdir()] == ["images"]
    (tmp_path / "usual").mkdir()
    assert stat.S_IMODE(out.stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_a_file_of_two_names_takes_its_bytes_once(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "file").write_bytes(bytes(1000))
    (tmp_path / "below" / "again").hardlink_to(tmp_path / "file")
    (tmp_path / "below" / "other").write_bytes(bytes(30))
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert 1030 <= bytes_below(tmp_path) < 1200


def test_failure_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "images"
    for before in ([], ["old"]):
        with pytest.raises(KeyboardInterrupt), writing_folder(out) as folder:
            (folder / "half").write_text("half")
            raise KeyboardInterrupt
        assert [path.name for path in tmp_path.iterdir()] == (["images"] if before else [])
        if not before:
            with writing_folder(out) as folder:
                (folder / "old").write_text("old")
    assert [path.name for path in out.iterdir()] == ["old"]
