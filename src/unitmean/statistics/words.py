"""The statistics that can be made one, as people call them."""

from collections.abc import Mapping
from typing import Any

WORDS = {"mean": "mean activation", "rms": "root mean square", "max": "maximum"}


def statistic(rescale: Mapping[str, Any]) -> str:
    """What the rescaling of these settings (`statistic`, `quantile`) made one."""
    name = str(rescale.get("statistic", "mean"))
    return WORDS.get(name) or f"{100 * rescale['quantile']:g}% quantile"
