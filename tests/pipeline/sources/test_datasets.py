import io
import tarfile

import pytest

from unitmean.errors import ConfigError, DataError
from unitmean.pipeline.sources.datasets import find_folder, find_ilsvrc_val, generate, resolve


def names(numbers):
    return [f"ILSVRC2012_val_{n:08d}.JPEG" for n in numbers]


def flat(path, numbers):
    path.mkdir()
    for name in names(numbers):
        (path / name).touch()
    return path


def by_synset(path, numbers):
    for name in names(numbers):
        (path / f"n0{1440764 + int(name[-7]) % 3}").mkdir(parents=True, exist_ok=True)
        (path / f"n0{1440764 + int(name[-7]) % 3}" / name).touch()
    return path


def packed(path, numbers):
    with tarfile.open(path, "w") as tar:
        for name in names(numbers):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    return path


def test_generated_images_are_listed(tmp_path):
    entries = generate(tmp_path / "images.tar", count=3, size=8, seed=0, expected=3)
    assert [entry.name for entry in entries] == [f"generated_{n:08d}.JPEG" for n in (1, 2, 3)]


@pytest.mark.parametrize("wrong", [{"count": 0}, {"size": 0}, {"seed": -1}])
def test_generated_images_need_sensible_settings(tmp_path, wrong):
    settings = {"count": 1, "size": 8, "seed": 0, "expected": None} | wrong
    with pytest.raises(ConfigError, match=f"dataset.{next(iter(wrong))} must"):
        generate(tmp_path / "images.tar", **settings)
    assert not list(tmp_path.iterdir())


def test_path_not_set_says_which_override_to_give(tmp_path):
    with pytest.raises(DataError, match="dataset.source=folder.*the override dataset.path="):
        resolve(None, tmp_path, "folder")


def test_path_is_relative_to_the_project(tmp_path):
    (tmp_path / "images").mkdir()
    assert resolve("images", tmp_path, "folder") == tmp_path / "images"
    assert resolve(str(tmp_path / "images"), tmp_path / "other", "folder") == tmp_path / "images"
    with pytest.raises(DataError, match="found nothing at '.*missing'"):
        resolve("missing", tmp_path, "folder")


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="found none"):
        find_folder(tmp_path, expected=None)


def test_folder_of_another_count_is_refused(tmp_path):
    folder = flat(tmp_path / "images", range(3))
    assert len(find_folder(folder, expected=None)) == len(find_folder(folder, expected=3)) == 3
    with pytest.raises(DataError, match="asks for 4 images; found 3"):
        find_folder(folder, expected=4)


@pytest.mark.parametrize("layout", [flat, by_synset, packed])
def test_ilsvrc_is_complete_or_says_what_is_missing(tmp_path, layout):
    whole = layout(tmp_path / "whole", range(1, 13))
    assert len(find_ilsvrc_val(whole, expected=12)) == 12
    lacking = layout(tmp_path / "lacking", [1, 4, 5, 12])
    with pytest.raises(DataError) as caught:
        find_ilsvrc_val(lacking, expected=12)
    message = str(caught.value)
    assert "asks for 12 images; found 4" in message
    assert ", ".join(f"ILSVRC2012_val_{n:08d}" for n in (2, 3, 6, 7, 8)) + " and 3 more" in message
    assert "00000009" not in message


def test_ilsvrc_has_50000_images_unless_told_otherwise(tmp_path):
    with pytest.raises(DataError, match="asks for 50000 images; found 2.*val_00000003.*and 49993 more"):
        find_ilsvrc_val(flat(tmp_path / "val", (1, 2)), expected=None)


def test_ilsvrc_of_other_names_is_only_counted(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(DataError, match="asks for 2 images; found 1 in '[^']*': complete"):
        find_ilsvrc_val(tmp_path, expected=2)
