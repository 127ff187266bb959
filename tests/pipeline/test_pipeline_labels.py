"""Accuracy before and after, over a small set with labels as ILSVRC's: a folder for each of 1,000 synsets."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from narrow import narrow
from PIL import Image
from pipeline_stages import SMALL, STAGES, run
from scratch_project import copy_settings

from unitmean.networks.architectures import build
from unitmean.networks.inputs import TORCHVISION
from unitmean.networks.seeded import seeded
from unitmean.pipeline.commands import repro
from unitmean.pipeline.index.batches import batches
from unitmean.pipeline.index.containers import list_images
from unitmean.pipeline.index.index import Index, Row, build_rows, load_index
from unitmean.pipeline.index.labels import classes
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.stages.index_images import index_images
from unitmean.pipeline.stages.verify_invariance import verify_invariance

CLASSES, MEASURED, HELD, RIGHT = 1000, 4, 32, 20
LABELLED = [
    "model=alexnet",
    "dataset=ilsvrc_val",
    "dataset.path=images",
    f"dataset.expected={CLASSES + HELD}",
    *(override for override in SMALL if not override.startswith("dataset.")),
    f"dataset.subset={MEASURED}",
    f"verify.heldout={HELD}",
]
DATA = Path("data/alexnet")


def synset(number: int) -> str:
    return f"n{1440764 + 7 * number:08d}"


@pytest.fixture(scope="module")
def narrow_alexnet() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        narrow(patch, "alexnet")
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, narrow_alexnet: None) -> Path:
    """A project in which all stages ran; of the images held out the network knows 20 of 32."""
    folder = copy_settings(tmp_path_factory.mktemp("project"))
    draw(flat := folder / "flat")
    # The order depends on the contents alone: which images will be held out is known before they have labels.
    rows, _ = build_rows(flat, list_images(flat), str(flat), seed=0, skip=False)
    held = Index(tuple(rows[MEASURED : MEASURED + HELD]), folder)
    chosen = {row.name: label for row, label in zip(held.rows, predicted(held), strict=True)}
    others = [row.name for row in rows if row.name not in chosen]
    labels = dict(zip(others, range(CLASSES), strict=True))
    for i, (name, label) in enumerate(chosen.items()):
        labels[name] = label if i < RIGHT else (label + 1) % CLASSES
    for name, label in labels.items():
        (folder / "images" / synset(label)).mkdir(parents=True, exist_ok=True)
        shutil.move(flat / name, folder / "images" / synset(label) / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for program in STAGES:
            run(patch, program, *LABELLED)
    return folder


def draw(folder: Path) -> None:
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    for i in range(1, CLASSES + HELD + 1):
        pixels = torch.randint(0, 256, (4, 4, 3), generator=generator, dtype=torch.uint8).numpy()
        image = Image.fromarray(pixels).resize((24, 24))
        image.save(folder / f"ILSVRC2012_val_{i:08d}.JPEG", format="JPEG")


def predicted(index: Index) -> list[int]:
    network = build("alexnet", seeded("alexnet", 0, 3.0), input=TORCHVISION)
    with torch.inference_mode():
        logits = [network.module(TORCHVISION.apply(x)) for x in batches(index, Preprocessing("warp", 96), 8)]
    found: list[int] = torch.cat(logits).argmax(1).tolist()
    return found


def test_accuracy_is_in_the_proof_the_report_and_on_the_console(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    proof, metrics = (json.loads((DATA / name).read_text()) for name in ("proof.json", "invariance.json"))
    assert proof["labelled"] == HELD
    for found in (proof, metrics):
        assert found["accuracy_before"] == found["accuracy_after"] == RIGHT / HELD
    text = " ".join((DATA / "report.html").read_text().split())
    assert "Accuracy over 32 labelled images: 62.50% before, 62.50% after." in text
    run(monkeypatch, verify_invariance, *LABELLED)
    assert "accuracy 62.50% before, 62.50% after over 32 images" in capsys.readouterr().out
    repro.show(DATA)
    lines = [line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert ["accuracy, original weights", "62.5%"] in lines
    assert ["accuracy, normalised weights", "62.5%"] in lines


def test_the_tar_as_downloaded_with_a_list_of_numbers_has_the_same_classes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    sorted_index = load_index(Path("data/ilsvrc_val/images/index.parquet"))
    ranks = classes(sorted_index, CLASSES)
    assert ranks is not None
    with tarfile.open("val.tar", "w") as tar, Path("val.txt").open("w") as list_:
        for row in sorted_index.rows:
            tar.add(Path("images") / row.name, Path(row.name).name)
            list_.write(f"{Path(row.name).name} {ranks[str(row.label)]}\n")
    flat = ["dataset.path=val.tar", "dataset.labels=val.txt", "dataset.name=flat"]
    run(monkeypatch, index_images, *LABELLED, *flat)
    index = load_index(Path("data/flat/images/index.parquet"))
    numbers = classes(index, CLASSES)
    assert numbers is not None
    assert [numbers[str(row.label)] for row in index.rows] == [ranks[str(r.label)] for r in sorted_index.rows]


def test_classes_are_the_synsets_ranks_if_all_are_there(tmp_path: Path) -> None:
    def index(*labels: str | None) -> Index:
        return Index(tuple(Row("", "a.jpg", None, 1, "", 1, 1, "RGB", label) for label in labels), tmp_path)

    assert classes(index("n02", "n01", "n02"), 2) == {"n01": 0, "n02": 1}
    assert classes(index("n02", "n01"), 3) is None
    assert classes(index("n02", None), 2) is None
    assert classes(index(None), 1) is None
    assert classes(index("10", "2", "10"), 11) == {"10": 10, "2": 2}
    assert classes(index("10", "2"), 10) is None


def test_numbers_of_folders_are_classes_only_if_each_class_has_its_folder(tmp_path: Path) -> None:
    def index(*rows: tuple[str, str]) -> Index:
        made = (Row("", name, None, 1, "", 1, 1, "RGB", label) for name, label in rows)
        return Index(tuple(made), tmp_path)

    whole = [(f"val/{n}/a.jpg", str(n)) for n in range(1000)]
    assert classes(index(*whole), 1000) == {str(n): n for n in range(1000)}
    assert classes(index(*whole[1:]), 1000) is None
    albums = index(("3/a.jpg", "3"), ("7/b.jpg", "7"), ("7/c.jpg", "7"))
    assert classes(albums, 1000) is None
    # A list of labels is taken at its word, whatever the folders are called.
    assert classes(index(("3/a.jpg", "281"), ("7/b.jpg", "7")), 1000) == {"281": 281, "7": 7}
