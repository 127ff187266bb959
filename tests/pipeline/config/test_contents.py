"""What changes with the contents of the files that settings name."""

import os
from pathlib import Path

import pytest
from own_code import BLOCK, write_code

from unitmean.errors import ConfigError, DataError
from unitmean.pipeline.config import contents as module
from unitmean.pipeline.config.compose import compose
from unitmean.pipeline.config.contents import PATHS, contents, require_recorded, require_watched


def fill(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def keep_time(path: Path, text: str) -> None:
    """Other contents of the same length, and the time of the old ones."""
    facts = path.stat()
    path.write_text(text)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_a_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    fill(tmp_path, weights="old")
    before = contents("weights", tmp_path)
    assert before is not None and contents("weights", tmp_path) == before
    keep_time(tmp_path / "weights", "new")
    assert contents("weights", tmp_path) != before
    assert contents(None, tmp_path) is None and contents("nowhere", tmp_path) is None


def test_a_copy_elsewhere_has_the_same_contents(tmp_path: Path) -> None:
    fill(tmp_path / "one" / "photos", a="1", b="2")
    fill(tmp_path / "two" / "photos", a="1", b="2")
    assert contents("photos", tmp_path / "one") == contents("photos", tmp_path / "two")


@pytest.mark.parametrize("name", ["photos", "photos/*", "photos/{a,b}", "photos/[ab]"])
def test_a_folder_is_known_by_its_files(tmp_path: Path, name: str) -> None:
    fill(tmp_path / "photos", a="1", b="2")
    before = contents(name, tmp_path)
    keep_time(tmp_path / "photos" / "b", "3")
    assert before is not None and contents(name, tmp_path) != before


def test_code_counts_with_what_it_imports(tmp_path: Path) -> None:
    code = write_code(tmp_path)
    before = contents("nets.py", tmp_path)
    keep_time(code, code.read_text().replace("last: int = 12", "last: int = 16"))
    edited = contents("nets.py", tmp_path)
    keep_time(tmp_path / "blocks" / "block.py", BLOCK.replace("padding=1", "padding=2"))
    assert len({before, edited, contents("nets.py", tmp_path)}) == 3
    fill(tmp_path, other="not imported")
    assert contents("nets.py", tmp_path) not in (before, edited)


def test_what_is_linked_counts_and_a_folder_within_itself_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "store", a="1")
    fill(tmp_path / "album")
    (tmp_path / "album" / "linked").symlink_to(tmp_path / "store")
    before = contents("album", tmp_path)
    fill(tmp_path / "store", a="2")
    assert before is not None and contents("album", tmp_path) != before
    (tmp_path / "album" / "again").symlink_to(tmp_path / "album")
    with pytest.raises(DataError, match="in themselves"):
        contents("album", tmp_path)


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(module, "sha256", refused)
    fill(tmp_path / "photos", a="1")
    with pytest.raises(DataError, match="must be readable.*Permission denied.*'photos'"):
        contents("photos", tmp_path)


def test_much_is_known_by_names_sizes_and_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ", 1)
    monkeypatch.setattr(module, "sha256", None)  # nothing may be read
    fill(tmp_path / "photos", a="1", b="2")
    before = contents("photos", tmp_path)
    os.utime(tmp_path / "photos" / "a", ns=(0, 0))
    assert contents("photos", tmp_path) != before


def test_files_at_an_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "photos", a="1")
    address = f"file://{tmp_path}/photos"
    before = contents(address, tmp_path)
    fill(tmp_path / "photos", b="2")
    assert before is not None and contents(address, tmp_path) not in (before, None)
    assert contents("nothing://there", tmp_path) is None
    assert "note: whether 'nothing://there' changed isn't known" in capsys.readouterr().err


def test_the_composition_records_them_and_a_stage_refuses_others(tmp_path: Path) -> None:
    from scratch_project import copy_settings

    from unitmean.pipeline.config.compose import as_values

    folder = copy_settings(tmp_path)
    fill(folder / "photos", a="1")
    values = as_values(compose(folder, ["dataset=folder", "dataset.path=photos"]))
    assert values["meta"]["images"] == contents("photos", folder) and values["meta"]["weights"] is None
    require_recorded(values, folder)
    fill(folder / "photos", a="2")
    with pytest.raises(ConfigError, match=r"contents of dataset.path must be those that meta.images records"):
        require_recorded(values, folder)
    values["meta"]["images"] = None
    require_recorded(values, folder)
    with pytest.raises(ConfigError, match=r"meta.images must be a digest of what dataset.path names; found"):
        require_watched(values, folder)


def test_what_is_not_there_need_not_be_watched(tmp_path: Path) -> None:
    from scratch_project import copy_settings

    from unitmean.pipeline.config.compose import as_values

    folder = copy_settings(tmp_path)
    values = as_values(compose(folder, ["weights=file", "weights.path=late.pth"]))
    require_watched(values, folder)
    (folder / "late.pth").write_bytes(b"weights")
    with pytest.raises(ConfigError, match=r"meta.weights must be a digest .* 'late.pth' is there: run"):
        require_watched(values, folder)


def test_every_path_among_the_settings_is_recorded() -> None:
    assert set(PATHS.values()) == {
        "model.code", "weights.path", "dataset.path", "dataset.labels", "transfer.content", "transfer.style",
    }  # fmt: skip
