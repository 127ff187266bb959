"""Sources of images asked as the stage asks them."""

from pathlib import Path
from types import SimpleNamespace

from unitmean.pipeline.index.containers import Container
from unitmean.pipeline.index.entries import Entry
from unitmean.pipeline.sources.images.find import find
from unitmean.pipeline.sources.images.source import Found, Request

DATASET = {"path": None, "url": None, "digest": None, "expected": None, "count": 3, "pixels": 8, "seed": 0}


def ask(source: str, root: Path, **settings: object) -> list[Found]:
    """What a source finds from the project at `root`; what it makes lies there too."""
    return find(SimpleNamespace(**DATASET | {"source": source} | settings), root, root)


def request(root: Path, **settings: object) -> Request:
    return Request(SimpleNamespace(**DATASET | {"source": "folder"} | settings), root, root)


def parts(found: list[Found]) -> list[tuple[Container, list[Entry]]]:
    return [(part.container, part.entries) for part in found]
