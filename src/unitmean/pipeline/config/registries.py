"""The registered sources, statistics and layouts, as choices of the configuration.

Registries are imported by names in strings, so that the stages, which all read the configuration, don't count
as depending on them: what is registered decides which settings are accepted, and no result.
"""

from importlib import import_module
from typing import Any


def image_sources() -> dict[str, Any]:
    """Every `ImageSource` by its name."""
    found: dict[str, Any] = import_module("unitmean.pipeline.sources.images").image_sources()
    return found


def weights_sources() -> dict[str, Any]:
    """Every `WeightsSource` by its name."""
    found: dict[str, Any] = import_module("unitmean.pipeline.sources.weights").weights_sources()
    return found


def statistics() -> dict[str, Any]:
    """Every `Statistic` by its name."""
    found: dict[str, Any] = import_module("unitmean.statistics.kinds").statistics()
    return found


def layouts() -> list[str]:
    """Every layout's name."""
    found: list[str] = import_module("unitmean.layouts.kinds").names()
    return found
