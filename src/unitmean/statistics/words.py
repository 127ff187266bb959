"""The statistics that can be made one, as people call them."""

from collections.abc import Mapping
from typing import Any

from unitmean.statistics.kinds import statistics


def statistic(rescale: Mapping[str, Any]) -> str:
    """The statistic that a rescaling with these settings (`statistic`, `quantile`) made one, in words."""
    return statistics()[str(rescale.get("statistic", "mean"))].called(rescale.get("quantile") or 0.0)


def became(counts: Mapping[str, int], rescale: Mapping[str, Any], images: int) -> str:
    """Which channels have the statistic at one and which have not, in whole sentences.

    `counts` has the numbers of channels: `channels` in all, `normalised`, `tied`, `dead`, `negative`,
    `pinned`. `images` is how many the statistics were taken of.
    """
    about = "lies within a factor √2 of one" if rescale.get("rounding") == "pow2" else "is one"
    share = f"{counts['normalised']:,} of {counts['channels']:,} channels"
    if counts["normalised"] == counts["channels"]:
        share = f"all {counts['channels']:,} channels"
    sentences = [f"The {statistic(rescale)} of {share} {about}, over {images:,} images."]
    if tied := counts.get("tied", 0):
        sentences.append(
            f"{tied:,} share a factor with others, as additions demand, and only the geometric mean over "
            f"those that share it {about}."
        )
    if dead := counts.get("dead", 0):
        sentences.append(
            f"{dead:,} are never, or hardly ever, active and keep the factor one, unless they share their "
            "factor with live channels."
        )
    if negative := counts.get("negative", 0):
        sentences.append(
            f"{negative:,} have a negative {statistic(rescale)}, which no positive factor makes one, and "
            "keep the factor one, unless they share their factor with others."
        )
    if pinned := counts.get("pinned", 0):
        sentences.append(f"{pinned:,} must keep the factor one.")
    return " ".join(sentences)
