"""Where images come from: each file of this folder that has a SOURCE is a value of dataset.source."""

from functools import cache

from unitmean.pipeline.sources.images.source import ImageSource
from unitmean.registry import registered


@cache
def image_sources() -> dict[str, ImageSource]:
    """Every source by its name. To add one, add a file to this folder and a test."""
    return {source.name: source for source in registered(__name__, "SOURCE", ImageSource)}
