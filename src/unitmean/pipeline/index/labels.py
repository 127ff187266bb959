"""Labels of images: from a list of labels to an index, and from an index to a network's classes."""

import csv
import posixpath
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from unitmean.errors import DataError
from unitmean.pipeline.index.index import Index, named_class
from unitmean.pipeline.index.kinds import SUFFIXES

LABEL = re.compile(r"n[0-9]{8}|[0-9]{1,9}")
SYNSET = re.compile(r"n[0-9]{8}")
DELIMITERS = "\t,;"


class Labels:
    """A list of labels: a line an image, its name and then a synset or a class's number.

    Cells are parted by tabs, commas or semicolons, or names and labels by spaces. What follows a label (boxes
    in Kaggle's LOC_val_solution.csv) is passed over, and so is a header. Raises DataError for a line that
    isn't of this form, an image with two labels, or synsets beside numbers.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._labels: dict[str, str] = {}
        for number, line in enumerate(lines := self._text().splitlines(), 1):
            if not line.strip():
                continue
            try:
                cells = _cells(line, _delimiter(lines))
            except csv.Error as error:
                raise self._refused(f"{error} in line {number}") from error
            name, label = _parted(cells)
            if not (name and LABEL.fullmatch(label)):
                if number == 1 and _is_header(cells):
                    continue
                raise self._refused(f"{' '.join(cells)[:60]!r} in line {number}")
            if self._labels.setdefault(_path(name), label) != label:
                raise self._refused(f"two labels for {name!r}")
        if len({label.isdecimal() for label in self._labels.values()}) > 1:
            raise self._refused("synsets beside numbers")
        stems: dict[str, str | None] = {}
        for name, label in self._labels.items():  # None where images of one stem differ in their labels
            stems[_stem(name)] = label if stems.get(_stem(name), label) == label else None
        self._by = ((_path, self._labels, _ends(self._labels)), (_stem, stems, _ends(stems)))

    def require(self, names: Sequence[str]) -> None:
        """DataError unless each of these images is in the list."""
        if lacking := [name for name in names if self.get(name) is None]:
            raise DataError(
                f"dataset.labels must name every image; found none for {len(lacking)} of {len(names)} in "
                f"{str(self._path)!r}, the first is {lacking[0]!r}: complete the list or leave it out"
            )

    def get(self, name: str) -> str | None:
        """The label of an image by its name, even where the list gives more or fewer of its folders.

        None where the list lacks it, or has several such images that differ in their labels.
        """
        for spelt, labels, ends in self._by:  # with its suffix, else without
            known = spelt(name)
            found = [ends[known]] if known in ends else [labels[e] for e in _shorter(known) if e in labels]
            if found:
                return found[0]
        return None

    def _text(self) -> str:
        try:
            data = self._path.read_bytes()
            wide = data.startswith((BOM_UTF16_LE, BOM_UTF16_BE))  # as PowerShell writes
            return data.decode("utf-16" if wide else "utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise self._refused(str(error)) from error

    def _refused(self, found: str) -> DataError:
        return DataError(
            "dataset.labels must be a text file whose lines hold an image's name and its label, a synset "
            f"such as n01440764 or a class's number; found {found} of {str(self._path)!r}: give such a list, "
            "as Caffe's val.txt (the development kit's ground truth has no names, and numbers of its own)"
        )


def classes(index: Index, count: int) -> dict[str, int] | None:
    """The class of every label: its number, or a synset's rank if there are as many as classes.

    ImageNet numbers its classes by the rank of their synsets, as torchvision's ImageFolder does with folders'
    names. None where the index holds another number of synsets than of classes, as ranks then aren't known, a
    number that is too large, synsets beside numbers, or an image without a label. Numbers that name folders,
    as albums do, too, count only if there is one for each class.
    """
    found = {row.label for row in index.rows}
    known = sorted(label for label in found if label is not None)
    if None in found or not known:
        return None
    if all(label.isdecimal() for label in known):
        numbers = {label: int(label) for label in known}
        if all(row.label == named_class(row.name) for row in index.rows):  # none is from a list of labels
            return numbers if set(numbers.values()) == set(range(count)) else None
        return numbers if max(numbers.values()) < count else None
    if any(label.isdecimal() for label in known):
        return None
    return {label: i for i, label in enumerate(known)} if len(known) == count else None


def _delimiter(lines: Sequence[str]) -> str | None:
    """The delimiter of cells, found in the first two lines; None for spaces."""
    return next((delimiter for delimiter in DELIMITERS if any(delimiter in line for line in lines[:2])), None)


def _cells(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return _words(line)
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]


def _words(line: str) -> list[str]:
    """The name and the label of a line without delimiters: a name may hold spaces, a label is one word."""
    words = line.split()
    synset = next((i for i, word in enumerate(words) if i and SYNSET.fullmatch(word)), len(words) - 1)
    quoted = " ".join(words[:synset]).strip('"'), words[synset].strip('"')
    return [cell for cell in quoted if cell]


def _parted(cells: list[str]) -> tuple[str, str]:
    """The name in the first cell and the first word of the second; empty where there is none."""
    label = cells[1].split() if len(cells) > 1 else []
    return cells[0], label[0] if label else ""


def _is_header(cells: list[str]) -> bool:
    return len(cells) > 1 and posixpath.splitext(cells[0])[1].lower() not in SUFFIXES


def _path(name: str) -> str:
    """The name without a leading ./, with slashes as in an index."""
    return posixpath.normpath(name.replace("\\", "/"))


def _stem(name: str) -> str:
    """The name as by `_path`, without the suffix of an image."""
    stem, suffix = posixpath.splitext(_path(name))
    return stem if suffix.lower() in SUFFIXES else stem + suffix


def _shorter(stem: str) -> Iterator[str]:
    """`a/b/c`, then `b/c` and `c`."""
    parts = stem.split("/")
    return ("/".join(parts[i:]) for i in range(len(parts)))


def _ends(labels: Mapping[str, str | None]) -> dict[str, str | None]:
    """The labels by every end of a name, from `a/b/c` to `c`; None where names that end alike differ."""
    found: dict[str, str | None] = {}
    for stem, label in labels.items():
        for end in _shorter(stem):
            found[end] = label if found.get(end, label) == label else None
    return {**found, **labels}
