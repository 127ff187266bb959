"""Temporary files: the dead's are removed, the living's kept; a write that fails says why."""

import errno
from pathlib import Path

import pytest

from unitmean.disk import leftovers
from unitmean.disk.atomic import write_text, writing
from unitmean.errors import DiskError
from unitmean.pipeline.disk.folders import writing_folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_the_killed_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".a-unitmean-12345678.txt").touch()
    (tmp_path / ".images-unitmean-12345678").mkdir()
    for other in (".b-unitmean-12345678.txt", ".a-unitmean-12345678.csv", ".a-original.txt"):
        (tmp_path / other).touch()
    write_text(tmp_path / "a.txt", "a")
    with writing_folder(tmp_path / "images") as folder:
        (folder / "x").touch()
    assert names(tmp_path) == [
        ".a-original.txt", ".a-unitmean-12345678.csv", ".b-unitmean-12345678.txt", "a.txt", "images",
    ]  # fmt: skip


def test_what_is_being_written_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with writing(path) as living:
        write_text(path, "first")
        living.write_text("second")
    assert path.read_text() == "second" and names(tmp_path) == ["a.txt"]


def test_a_full_disk_is_explained_and_other_errors_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(DiskError, match=r"a\.txt' must be written; found: No space left.*make room"):
        with writing(path):
            raise OSError(errno.ENOSPC, "write failed")
    with pytest.raises(FileNotFoundError), writing(path):
        open(tmp_path / "missing")
    with pytest.raises(PermissionError), writing(path):
        raise PermissionError(errno.EACCES, "no", "/elsewhere/image.jpg")
    assert names(tmp_path) == []
    monkeypatch.chdir(tmp_path)
    path.mkdir()
    (path / "kept").touch()
    with pytest.raises(DiskError, match="move what is in its way"):
        write_text(Path(path.name), "a")
    assert names(tmp_path) == ["a.txt"] and names(path) == ["kept"]


def test_without_locks_files_are_written_and_nothing_is_taken_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "LOCKS", False)
    (tmp_path / ".a-unitmean-12345678.txt").touch()
    write_text(tmp_path / "a.txt", "a")
    assert (tmp_path / "a.txt").read_text() == "a"
    assert names(tmp_path) == [".a-unitmean-12345678.txt", "a.txt"]
