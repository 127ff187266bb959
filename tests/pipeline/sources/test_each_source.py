"""Each source of images or weights, and what it must be; docs/datasets.md holds a table of each kind.

`make docs` writes the tables again.
"""

import io
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path
from types import ModuleType

import pytest
from pipeline.sources.asking import ask, request

from unitmean.errors import ConfigError, DataError
from unitmean.pipeline.config.choices import DatasetSource, WeightsSource
from unitmean.pipeline.config.keys import keys
from unitmean.pipeline.sources import images, weights
from unitmean.pipeline.sources.images import image_sources
from unitmean.pipeline.sources.images.source import existing
from unitmean.pipeline.sources.weights import weights_sources

PAGE = Path(__file__).resolve().parents[3] / "docs" / "datasets.md"
Source = images.source.ImageSource | weights.source.WeightsSource
# By the section that names them: the sources, where their files lie, the choices of the schema.
SOURCES: dict[str, tuple[Mapping[str, Source], ModuleType, type[Enum]]] = {
    "dataset": (image_sources(), images, DatasetSource),
    "weights": (weights_sources(), weights, WeightsSource),
}


def table(section: str) -> str:
    rows = [f"| `{section}.source` | what | needs |", "|---|---|---|"]
    for source in SOURCES[section][0].values():
        needs = ", ".join(f"`{section}.{key}`" for key in source.needs) or "nothing"
        rows.append(f"| `{source.name}` | {source.help} | {needs} |")
    return "\n".join(rows) + "\n\n"


def written(text: str) -> str:
    """The page with its tables as they must be."""
    for section in SOURCES:
        text = re.sub(rf"(?s)\| `{section}\.source` \|.*?\n\n", lambda _: table(section), text)  # noqa: B023
    return text


@pytest.mark.parametrize("section", SOURCES)
def test_every_source_is_a_choice_and_a_row_of_the_page(section: str) -> None:
    sources, _, choices = SOURCES[section]
    assert [choice.name for choice in choices] == list(sources)
    assert table(section) in PAGE.read_text(encoding="utf-8"), "run `make docs`"


@pytest.mark.parametrize(("section", "name"), [(s, name) for s in SOURCES for name in SOURCES[s][0]])
def test_a_source_is_named_as_its_file_and_needs_known_keys(section: str, name: str) -> None:
    sources, folder, _ = SOURCES[section]
    source = sources[name]
    assert (Path(str(folder.__file__)).parent / f"{name}.py").is_file() and source.name == name
    assert {*source.needs, *source.reads} <= set(keys(section))
    assert source.help


def test_the_schema_stays_light() -> None:
    code = (
        "import sys, unitmean.pipeline.config.schema; "
        "print({'torch', 'pyarrow', 'PIL', 'requests', 'fsspec'} & {*sys.modules})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def names(numbers: Iterable[int]) -> list[str]:
    return [f"ILSVRC2012_val_{n:08d}.JPEG" for n in numbers]


def flat(path: Path, numbers: Iterable[int]) -> Path:
    path.mkdir()
    for name in names(numbers):
        (path / name).touch()
    return path


def by_synset(path: Path, numbers: Iterable[int]) -> Path:
    for name in names(numbers):
        (path / f"n0{1440764 + int(name[-7]) % 3}").mkdir(parents=True, exist_ok=True)
        (path / f"n0{1440764 + int(name[-7]) % 3}" / name).touch()
    return path


def packed(path: Path, numbers: Iterable[int]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name in names(numbers):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    return path


def test_generated_images_are_listed(tmp_path: Path) -> None:
    (found,) = ask("generated", tmp_path, count=3, expected=3)
    assert [entry.name for entry in found.entries] == [f"generated_{n:08d}.JPEG" for n in (1, 2, 3)]
    assert found.made and isinstance(found.container, Path) and found.container.parent == tmp_path


@pytest.mark.parametrize("wrong", [{"count": 0}, {"pixels": 0}, {"seed": -1}])
def test_generated_images_need_sensible_settings(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"dataset.{next(iter(wrong))} must"):
        ask("generated", tmp_path, **wrong)
    assert not list(tmp_path.iterdir())


def test_an_unknown_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be one of .*folder, generated.*found 'ftp'"):
        ask("ftp", tmp_path)


def test_path_not_set_says_which_override_to_give(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dataset.source=folder.*the override dataset.path="):
        ask("folder", tmp_path)


def test_path_is_relative_to_the_project(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    assert existing(request(tmp_path, path="images")) == tmp_path / "images"
    assert existing(request(tmp_path / "other", path=str(tmp_path / "images"))) == tmp_path / "images"
    with pytest.raises(DataError, match="found nothing at '.*missing'"):
        existing(request(tmp_path, path="missing"))


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none"):
        ask("folder", tmp_path, path=".")


def test_folder_of_another_count_is_refused(tmp_path: Path) -> None:
    flat(tmp_path / "images", range(3))
    for expected in (None, 3):
        (found,) = ask("folder", tmp_path, path="images", expected=expected)
        assert len(found.entries) == 3
    with pytest.raises(DataError, match="asks for 4 images; found 3 in 'images'"):
        ask("folder", tmp_path, path="images", expected=4)


@pytest.mark.parametrize("layout", [flat, by_synset, packed])
def test_ilsvrc_is_complete_or_says_what_is_missing(
    tmp_path: Path, layout: Callable[[Path, Iterable[int]], Path]
) -> None:
    layout(tmp_path / "whole", range(1, 13))
    assert len(ask("ilsvrc_val", tmp_path, path="whole", expected=12)[0].entries) == 12
    layout(tmp_path / "lacking", [1, 4, 5, 12])
    with pytest.raises(DataError) as caught:
        ask("ilsvrc_val", tmp_path, path="lacking", expected=12)
    message = str(caught.value)
    assert "asks for 12 images; found 4" in message
    assert ", ".join(f"ILSVRC2012_val_{n:08d}" for n in (2, 3, 6, 7, 8)) + " and 3 more" in message
    assert "00000009" not in message


def test_ilsvrc_has_50000_images_unless_told_otherwise(tmp_path: Path) -> None:
    flat(tmp_path / "val", (1, 2))
    with pytest.raises(DataError, match="asks for 50000 images; found 2.*val_00000003.*and 49993 more"):
        ask("ilsvrc_val", tmp_path, path="val")


def test_ilsvrc_of_other_names_is_only_counted(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(DataError, match="asks for 2 images; found 1 in '[^']*': complete"):
        ask("ilsvrc_val", tmp_path, path=".", expected=2)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
