import csv
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from PIL import Image

from unitmean.pipeline.index.index import load_index
from unitmean.pipeline.stages.index_images import index_images

Setting = str | int | None
Run = Callable[..., Path]

DATASET: dict[str, Setting] = {
    "name": "tiny",
    "source": "generated",
    "path": None,
    "labels": None,
    "seed": 0,
    "count": 3,
    "pixels": 16,
    "expected": None,
    "on_error": "stop",
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the stage in a project of its own; returns the folder it writes."""
    project = tmp_path / "project"
    (project / "conf").mkdir(parents=True)
    params = [f"dataset.{key}" for key in DATASET]
    stage = {"cmd": "true", "params": params, "outs": ["data/${dataset.name}/images"]}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"index_images": stage}}))
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", ["index_images"])

    def run(**changes: Setting) -> Path:
        (project / "params.yaml").write_text(yaml.safe_dump({"dataset": DATASET | changes}))
        index_images()
        return project / "data" / "tiny" / "images"

    return run


def content(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_generated_images_are_written_and_indexed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    out = run()
    first = content(out)
    assert set(first) == {"index.parquet", "skipped.csv", "left_out.csv", "images.tar"}
    index = load_index(out / "index.parquet")
    assert {row.container for row in index.rows} == {"data/tiny/images/images.tar"}
    assert all(index.read(row)[:2] == b"\xff\xd8" for row in index.rows)
    assert "3 images of 'tiny'" in capsys.readouterr().out
    assert content(run()) == first
    assert [path.name for path in out.parent.iterdir()] == ["images"]


def test_folder_inside_the_project_is_recorded_relatively(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "project" / "photos"
    folder.mkdir()
    Image.new("RGB", (4, 4)).save(folder / "a.png")
    out = run(source="folder", path="photos")
    assert set(content(out)) == {"index.parquet", "skipped.csv", "left_out.csv"}
    assert [row.container for row in load_index(out / "index.parquet").rows] == ["photos"]


def test_folder_elsewhere_is_recorded_absolutely(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"?")
    out = run(source="ilsvrc_val", path=str(tmp_path), expected=2, on_error="skip")
    assert [row.container for row in load_index(out / "index.parquet").rows] == [str(tmp_path)]
    assert (out / "skipped.csv").read_text().startswith("name,reason\nb.png,")


def test_what_is_no_image_is_listed_apart_from_what_does_not_decode(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"?")
    for name in ("README.txt", "notes.txt", "table.csv"):
        (tmp_path / name).write_text("words")
    out = run(source="folder", path=str(tmp_path), on_error="skip")
    with (out / "skipped.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["b.png"]
    with (out / "left_out.csv").open(newline="") as file:
        rows = {row["kind"]: (row["count"], row["name"]) for row in csv.DictReader(file)}
    assert rows[".txt"][0] == "2" and rows[".csv"] == ("1", "table.csv")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"source": "folder"}, "dataset.path=null"),
        ({"source": "folder", "path": "nowhere"}, "found nothing at"),
        ({"source": "folder", "path": "conf"}, "found none"),
        ({"source": "ilsvrc_val", "path": "corrupt"}, "asks for 50000 images; found 1"),
        ({"source": "folder", "path": "corrupt"}, "'bad.jpg' must decode"),
        ({"count": 0}, "dataset.count must be at least 1"),
        ({"expected": 4}, "asks for 4 images; found 3"),
    ],
)
def test_bad_input_exits_with_a_message_and_leaves_nothing(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Setting], found: str
) -> None:
    (tmp_path / "project" / "corrupt").mkdir()
    (tmp_path / "project" / "corrupt" / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(SystemExit) as caught:
        run(**changes)
    assert caught.value.code == 1
    assert found in capsys.readouterr().err
    assert not list((tmp_path / "project").rglob("data/tiny/*"))
