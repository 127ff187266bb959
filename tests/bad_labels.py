"""Lists of labels, broken and odd."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from bad_case import Case
from bad_images import encoded, noise, put

COMMAND = "index_images dataset=folder dataset.path=images dataset.name=odd dataset.labels=val.txt"


def listed(what: str, data: bytes, outcome: str, check: Callable[[Path], None] | None = None) -> Case:
    def make(folder: Path) -> None:
        for name in ("a.png", "b.png"):
            put(f"images/{name}", encoded(noise(len(name) * 8 + ord(name[0]))))(folder)
        put("val.txt", data)(folder)

    return Case(what, make, COMMAND, outcome, check=check)


def are(*labels: str) -> Callable[[Path], None]:
    def check(folder: Path) -> None:
        rows = pq.read_table(folder / "data/odd/images/index.parquet").to_pylist()
        assert {row["name"]: row["label"] for row in rows} == dict(
            zip(("a.png", "b.png"), labels, strict=True)
        )

    return check


LABELS = [
    listed("no list", b"", "must name every image; found none for 2 of 2"),
    listed("an image without a label", b"a.png 1\nc.png 2\n", "found none for 1 of 2.*b.png"),
    listed("numbers alone, as in the development kit's ground truth", b"490\n361\n", "found '490' in line 1"),
    listed(
        "a label that is neither synset nor number", b"a.png cat\nb.png 1\n", "found 'a.png cat' in line 1"
    ),
    listed("two labels for one image", b"a.png 1\na.png 2\nb.png 1\n", "two labels for 'a.png'"),
    listed("synsets beside numbers", b"a.png n00000001\nb.png 1\n", "synsets beside numbers"),
    listed("no text", b"\xff\xfe\x00", "can't decode byte"),
    listed("class numbers, as in Caffe's val.txt", b"b.png 7\na.png 65\n", "accepted", are("65", "7")),
    listed("folders in names", b"val/a.png 65\nval/b.png 7\n", "accepted", are("65", "7")),
    listed(
        "one name in two folders, with two labels",
        b"x/a.png 65\ny/a.png 66\nx/b.png 7\n",
        "found none for 1 of 2.*a.png",
    ),
    listed("a byte order mark", b"\xef\xbb\xbfa.png 65\nb.png 7\n", "accepted", are("65", "7")),
    listed(
        "UTF-16, as PowerShell writes", "a.png 65\nb.png 7\n".encode("utf-16"), "accepted", are("65", "7")
    ),
    listed(
        "a byte order mark before Kaggle's header",
        b"\xef\xbb\xbfImageId,PredictionString\na,n03995372 1 2 3 4\nb,n01751748 1 2 3 4\n",
        "accepted",
        are("n03995372", "n01751748"),
    ),
    listed("another header", b"filename,label\na.png,65\nb.png,7\n", "accepted", are("65", "7")),
    listed("quoted cells", b'"a.png","65"\n"b.png","7"\n', "accepted", are("65", "7")),
    listed("semicolons", b"image;class\na.png;65\nb.png;7\n", "accepted", are("65", "7")),
    listed("spaces around", b" a.png , 65 \n b.png , 7 \n", "accepted", are("65", "7")),
    listed("a cell of 200,000 letters", b"a.png," + b"x" * 200_000 + b"\n", "field larger than field limit"),
    listed(
        "synsets and boxes, as in LOC_val_solution.csv",
        b"ImageId,PredictionString\nb,n01751748 111 108 428 366 \na,n03995372 85 131 499 499 \n",
        "accepted, boxes are left",
        are("n03995372", "n01751748"),
    ),
]
