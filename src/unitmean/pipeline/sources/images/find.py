"""The images that the settings `dataset.*` name, from whichever source they name."""

from pathlib import Path
from typing import Any

from unitmean.errors import ConfigError, DataError
from unitmean.pipeline.sources.images import image_sources
from unitmean.pipeline.sources.images.source import Found, ImageSource, Request


def find(dataset: Any, root: Path, folder: Path) -> list[Found]:
    """Every container and its images; a source puts what it makes into `folder`.

    Raises ConfigError for an unknown source, and DataError unless there are as many images as there must be.
    """
    sources = image_sources()
    if dataset.source not in sources:
        raise ConfigError(
            f"dataset.source must be one of {', '.join(sources)}; found {dataset.source!r}: choose one"
        )
    source = sources[dataset.source]
    found = source.find(Request(dataset, root, folder))
    _require_count(source, found, dataset)
    return found


def _require_count(source: ImageSource, found: list[Found], dataset: Any) -> None:
    expected = source.expected if dataset.expected is None else dataset.expected
    names = [entry.name for part in found for entry in part.entries]
    if expected is None or len(names) == expected:
        return
    where = dataset.url if "url" in source.needs else dataset.path if "path" in source.needs else "the source"
    raise DataError(
        f"dataset.expected asks for {expected} images; found {len(names)} in {where!r}"
        f"{source.missing(names, expected)}: complete the data set, or set dataset.expected to what there is"
    )
