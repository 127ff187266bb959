"""Lists of labels: names with their suffixes first, then without."""

from pathlib import Path

import pytest

from unitmean.errors import DataError
from unitmean.pipeline.index.labels import Labels


def labels(path: Path, text: str) -> Labels:
    (path / "list.txt").write_text(text)
    return Labels(path / "list.txt")


def test_images_of_one_stem_have_labels_of_their_own(tmp_path: Path) -> None:
    found = labels(tmp_path, "a.jpg 1\na.png 2\nb.jpg 3\n")
    assert [found.get(name) for name in ("a.jpg", "a.png", "folder/b.jpg", "b.webp")] == ["1", "2", "3", "3"]
    assert found.get("a.webp") is None
    found.require(["a.jpg", "a.png", "b.jpg"])


def test_suffixes_may_lack_or_be_others(tmp_path: Path) -> None:
    found = labels(tmp_path, "x/a 1\ny/a 2\nb.JPEG 3\n")
    assert [found.get(name) for name in ("x/a.jpg", "z/y/a.png", "b.jpg", "b.JPEG")] == ["1", "2", "3", "3"]
    assert found.get("a.jpg") is None  # of which folder?


def test_one_name_with_two_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two labels for 'a.jpg'"):
        labels(tmp_path, "a.jpg 1\na.jpg 2\n")
