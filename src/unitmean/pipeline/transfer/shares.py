"""The tables of a style transfer's losses, and its figures."""

import math
from collections.abc import Mapping

import pandas as pd

from unitmean.errors import InvarianceError
from unitmean.style.losses import Losses
from unitmean.style.stylise import Stylised


def loss_table(stylised: Mapping[str, Stylised], content_layer: str) -> pd.DataFrame:
    """A row a step: `step`, every network's total under its name, the picture's size, its layers' parts.

    `<network>_pixels` is the longer side. Columns of parts are `<network>_content_<layer>` and
    `<network>_style_<layer>`. A network that stopped early leaves its last rows empty.
    """
    totals, sizes, parts = {}, {}, {}
    for name, result in stylised.items():
        totals[name] = pd.Series([losses.total for losses in result.losses])
        sizes[f"{name}_pixels"] = pd.Series(result.sides, dtype="Int64")
        parts[f"{name}_content_{content_layer}"] = pd.Series([losses.content for losses in result.losses])
        for layer in result.start.style:
            parts[f"{name}_style_{layer}"] = pd.Series([losses.style[layer] for losses in result.losses])
    return pd.DataFrame(totals | sizes | parts).rename_axis("step").reset_index()


def layer_table(measured: Mapping[str, Losses]) -> pd.DataFrame:
    """A row a style layer: its loss under each name, `<name>_share` and `<name>_retuning`.

    Retuning is what the layer's weight would have to be multiplied by for its loss to equal the largest.
    """
    columns: dict[str, Mapping[str, float]] = {}
    for name, losses in measured.items():
        columns |= {name: losses.style, f"{name}_share": losses.shares, f"{name}_retuning": losses.retuning}
    return pd.DataFrame(columns).rename_axis("layer").reset_index()


def figures(stylised: Mapping[str, Stylised], measured: Mapping[str, Losses]) -> dict[str, float | None]:
    """How far each loss fell, and by how many orders of magnitude the style layers' losses differ.

    `measured` holds losses of the content picture with the pooling of the statistics. Infinities become None,
    which JSON can hold.
    """
    found: dict[str, float | None] = {}
    for name, result in stylised.items():
        found[f"{name}_decrease"] = _figure(result.decrease)
    for name, losses in measured.items():
        found[f"{name}_orders"] = _figure(math.log10(losses.spread))
    return found


def require_finite(stylised: Mapping[str, Stylised]) -> None:
    """InvarianceError unless every network's loss is a number from the first step to the last."""
    for name, result in stylised.items():
        first, last = result.start.total, result.losses[-1].total
        if not (math.isfinite(first) and math.isfinite(last)):
            raise InvarianceError(
                f"the style transfer loss must stay finite; found {first!r}, then {last!r} "
                f"{_after(name, result)}: lower the style weight or look at the scale of the weights"
            )


def too_little(stylised: Mapping[str, Stylised], least: float) -> str:
    """Which network's loss didn't fall by the fraction `least`, in words; "" where all did."""
    for name, result in stylised.items():
        if not result.decrease >= least:
            return (
                f"the style transfer loss must fall by {least:.0%}; found {result.decrease:.1%} "
                f"{_after(name, result)}: "
                "take more transfer.steps, another content picture, or lower transfer.min_decrease"
            )
    return ""


def _after(name: str, result: Stylised) -> str:
    return f"after {len(result.losses) - 1} steps with the {name} weights"


def _figure(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
