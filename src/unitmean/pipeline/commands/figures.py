"""The figures printed at the end of a run, from the JSON files that are kept in git."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unitmean.pipeline.proof.logarithm import in_words

Words = Callable[[Any], str]


def _some(value: int) -> str:
    """A number as text; empty for 0, whose line is left out."""
    return f"{value:,}" if value else ""


def _spread(orders: float) -> str:
    return f"{float(f'{10**orders:.2g}'):,.10g} times"


def _times(value: float) -> str:
    return f"{value:.2g} times"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _holds(value: bool) -> str:
    return "yes" if value else "no"


# File, key, the figure's label in the table, and how its value is formatted.
FIGURES: tuple[tuple[str, str, str, Words], ...] = (
    ("audit", "audit_normalised", "weights as fetched are normalised", _holds),
    ("rescale", "normalised", "channels normalised", "{:,}".format),
    ("rescale", "channels", "channels in all", "{:,}".format),
    ("rescale", "tied", "channels that share a factor with others", _some),
    ("rescale", "dead", "channels hardly ever active", _some),
    ("rescale", "negative", "channels whose statistic is negative", _some),
    ("rescale", "pinned", "channels that must keep the factor one", _some),
    ("rescale", "skipped", "images left out, as they don't decode", _some),
    ("rescale", "standard_error", "standard error of a channel's mean, relative, median", _share),
    ("invariance", "passed", "proved", _holds),
    ("invariance", "float64_log10", "change of the output, float64, relative", in_words),
    ("invariance", "float32_ratio", "change of the output, float32, against float32's own error", _times),
    ("invariance", "mean_error_log10", "largest distance of a channel's mean from its target", in_words),
    ("invariance", "heldout_within_3", "held-out means within three standard errors", _share),
    ("invariance", "top1_agreement", "same top-1 class", _share),
    ("invariance", "accuracy_before", "accuracy, original weights", _share),
    ("invariance", "accuracy_after", "accuracy, normalised weights", _share),
    ("transfer", "plain_orders", "style layers' losses, loudest over quietest, original weights", _spread),
    ("transfer", "normalised_orders", "the same, normalised weights", _spread),
    ("transfer", "plain_decrease", "style transfer: loss fell by, original weights", _share),
    ("transfer", "normalised_decrease", "style transfer: loss fell by, normalised weights", _share),
)


def figures(folder: Path) -> list[tuple[str, str]]:
    """The label and the formatted value of each figure in a model's folder, of stages that have run."""
    files = {name: _read(folder / f"{name}.json") for name, *_ in FIGURES}
    # None: there is no such figure, as the top-1 class of a network without a head.
    found = [
        (label, words(files[name][key]))
        for name, key, label, words in FIGURES
        if files[name].get(key) is not None
    ]
    return [(label, figure) for label, figure in found if figure]


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
