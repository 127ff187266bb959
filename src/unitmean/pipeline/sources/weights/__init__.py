"""Where weights come from: each file of this folder that has a SOURCE is a value of weights.source."""

from functools import cache

from unitmean.pipeline.sources.weights.source import WeightsSource
from unitmean.registry import registered


@cache
def weights_sources() -> dict[str, WeightsSource]:
    """Every source by its name. To add one, add a file to this folder and a test."""
    return {source.name: source for source in registered(__name__, "SOURCE", WeightsSource)}
