"""What an image shows: from a list of labels to an index, and from an index to a network's classes."""

import posixpath
import re
from collections.abc import Sequence
from pathlib import Path

from unitmean.errors import DataError
from unitmean.pipeline.index.index import Index

# "ILSVRC2012_val_00000001.JPEG 65" in Caffe's val.txt; in Kaggle's LOC_val_solution.csv no suffix, a comma, a
# synset and boxes.
LINE = re.compile(r"(?P<name>[^\s,]+)[\s,]+(?P<label>n[0-9]{8}|[0-9]{1,9})(?:\s.*)?")
HEADER = "ImageId,"


class Labels:
    """A list of labels: a line an image, its name and then a synset or a class's number.

    Raises DataError for a line that is none, an image with two labels, synsets beside numbers.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._labels: dict[str, str] = {}
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise self._refused(str(error)) from error
        for number, line in enumerate(lines, 1):
            if not line.strip() or (number == 1 and line.startswith(HEADER)):
                continue
            match = LINE.fullmatch(line.strip())
            if match is None:
                raise self._refused(f"{line[:60]!r} in line {number}")
            name = _stem(match["name"])
            if self._labels.setdefault(name, match["label"]) != match["label"]:
                raise self._refused(f"two labels for {name!r}")
        if len({label.isdecimal() for label in self._labels.values()}) > 1:
            raise self._refused("synsets beside numbers")

    def require(self, names: Sequence[str]) -> None:
        """DataError unless each of these images is in the list."""
        if lacking := [name for name in names if self.get(name) is None]:
            raise DataError(
                f"dataset.labels must name every image; found none for {len(lacking)} of {len(names)} in "
                f"{str(self._path)!r}, the first is {lacking[0]!r}: complete the list or leave it out"
            )

    def get(self, name: str) -> str | None:
        """The label of an image by its name, in whatever folder the list has it."""
        stem = _stem(name)
        return self._labels.get(stem, self._labels.get(posixpath.basename(stem)))

    def _refused(self, found: str) -> DataError:
        return DataError(
            "dataset.labels must be a text file whose lines hold an image's name and its label, a synset "
            f"such as n01440764 or a class's number; found {found} of {str(self._path)!r}: give such a list, "
            "as Caffe's val.txt (the development kit's ground truth has no names, and numbers of its own)"
        )


def classes(index: Index, count: int) -> dict[str, int] | None:
    """The class of every label: its number, or a synset's rank if there are as many as classes.

    By rank is how ImageNet numbers its classes and torchvision's ImageFolder any folder's; with fewer synsets
    in the index their numbers can't be told. Then, with a number too large and without labels: None.
    """
    found = {row.label for row in index.rows}
    known = sorted(label for label in found if label is not None)
    if None in found or not known:
        return None
    if all(label.isdecimal() for label in known):
        numbers = {label: int(label) for label in known}
        return numbers if max(numbers.values()) < count else None
    return {label: i for i, label in enumerate(known)} if len(known) == count else None


def _stem(name: str) -> str:
    return posixpath.splitext(name)[0]
