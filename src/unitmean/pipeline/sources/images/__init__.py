"""Where images come from: each file of this folder that has a SOURCE is a value of dataset.source."""

import pkgutil
from functools import cache
from importlib import import_module

from unitmean.pipeline.sources.images.source import ImageSource


@cache
def image_sources() -> dict[str, ImageSource]:
    """Every source by its name. To add one, add a file to this folder and a test."""
    modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    found = (getattr(module, "SOURCE", None) for module in modules)
    return {source.name: source for source in found if isinstance(source, ImageSource)}
