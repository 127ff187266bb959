import stat
from pathlib import Path

import pytest

from unitmean.pipeline.disk.folders import writing_folder


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
