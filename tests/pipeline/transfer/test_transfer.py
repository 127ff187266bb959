"""What a style transfer leaves behind."""

import math

import pandas as pd
import pytest
import torch

from unitmean.errors import InvarianceError
from unitmean.pipeline.transfer.shares import figures, layer_table, loss_table, require_finite, too_little
from unitmean.style.losses import Losses
from unitmean.style.stylise import Stylised

PICTURE = torch.zeros(1, 3, 2, 2)
LONG = [
    Losses(0.0, {"a": 60.0, "b": 40.0}),
    Losses(5.0, {"a": 10.0, "b": 10.0}),
    Losses(5.0, {"a": 3.0, "b": 2.0}),
]
SHORT = [Losses(0.0, {"a": 1.0, "b": 1.0}), Losses(0.5, {"a": 0.5, "b": 0.25})]


def stylised(losses: list[Losses], start: Losses | None = None) -> Stylised:
    return Stylised(PICTURE, losses, [2] * len(losses), start or losses[0])


def test_a_row_a_step_and_parts_add_up() -> None:
    table = loss_table({"plain": stylised(LONG), "normalised": stylised(SHORT)}, "c")
    assert table.columns[:5].tolist() == ["step", "plain", "normalised", "plain_pixels", "normalised_pixels"]
    assert table["normalised_pixels"].tolist() == [2, 2, pd.NA]
    assert table["step"].tolist() == [0, 1, 2]
    for name in ("plain", "normalised"):
        parts = table[[column for column in table.columns[5:] if column.startswith(f"{name}_")]]
        pd.testing.assert_series_equal(parts.sum(axis=1, min_count=1), table[name], check_names=False)
    assert math.isnan(table["normalised"][2])  # it stopped early


def test_figures_can_be_json() -> None:
    found = figures({"plain": stylised(LONG)}, {"plain": Losses(0.0, {"a": 6.0, "b": 0.0})})
    assert found["plain_decrease"] == pytest.approx(0.9)
    assert found["plain_orders"] is None  # infinite
    assert set(found) == {"plain_decrease", "plain_orders"}


def test_layers_shares_and_what_would_make_them_alike() -> None:
    table = layer_table({"plain": Losses(1.0, {"a": 6.0, "b": 2.0})})
    assert table.to_dict("list") == {
        "layer": ["a", "b"],
        "plain": [6, 2],
        "plain_share": [0.75, 0.25],
        "plain_retuning": [1, 3],
    }


def test_enough_decrease_passes_and_less_does_not() -> None:
    assert too_little({"plain": stylised(LONG)}, 0.9) == ""
    words = too_little({"plain": stylised(LONG)}, 0.95)
    assert "fall by 95%; found 90.0% after 2 steps with the plain" in words


def test_a_decrease_is_from_the_start_at_the_full_size() -> None:
    """Of 50 at the start 10 are left; the first step's loss, 12.5, is a smaller picture's."""
    start = Losses(0.0, {"a": 30.0, "b": 20.0})
    small = [Losses(0.0, {"a": 6.0, "b": 6.5}), *LONG[1:]]
    result = stylised(small, start)
    assert too_little({"plain": result}, 0.75) == ""
    assert figures({"plain": result}, {})["plain_decrease"] == pytest.approx(0.8)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_must_stay_finite(bad: float) -> None:
    result = stylised([LONG[0], Losses(bad, {"a": 1.0, "b": 1.0})])
    with pytest.raises(InvarianceError, match="must stay finite"):
        require_finite({"plain": stylised(LONG), "normalised": result})
