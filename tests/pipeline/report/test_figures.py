"""Figures hold what they are given."""

import xml.etree.ElementTree as xml

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from pipeline.report.made_up import SITES, evidence

from unitmean.pipeline.report import figures

DRAWN = {
    "means": lambda e: figures.means(e.means),
    "invariance": lambda e: figures.invariance(e.layers),
    "style_layers": lambda e: figures.style_layers(e.transfer.layers),
}


def words(svg: bytes) -> str:
    return " ".join(xml.fromstring(svg).itertext())


@pytest.mark.parametrize("name", DRAWN)
def test_every_layer_is_named(name: str) -> None:
    text = words(DRAWN[name](evidence()))
    assert all(site in text for site in SITES)


@pytest.mark.parametrize("name", DRAWN)
def test_equal_numbers_give_equal_bytes(name: str) -> None:
    assert DRAWN[name](evidence()) == DRAWN[name](evidence())


def test_differences_of_zero_are_shown_as_zero() -> None:
    layers = evidence().layers
    assert "exactly 0" not in words(figures.invariance(layers))
    layers.loc[0, "float32"] = 0.0
    assert "exactly 0" in words(figures.invariance(layers))
    layers[["float64", "float32", "float32_error"]] = 0.0
    assert "exactly 0" in words(figures.invariance(layers))


def test_dead_channels_are_left_out() -> None:
    made = evidence()
    means = made.means.assign(status=made.means["status"].where(made.means["site"] != "relu1_1", "dead"))
    assert "relu1_1" not in words(figures.means(means))


def test_the_descent_names_both_networks() -> None:
    transfer = evidence().transfer
    assert transfer is not None
    text = words(figures.descent(transfer.losses))
    assert "plain" in text and "normalised" in text


def test_losses_are_fractions_of_the_first_at_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[float]] = []
    monkeypatch.setattr(Axes, "plot", lambda axes, x, y, **words: drawn.append(list(y)))
    losses = pd.DataFrame(
        {"step": range(4), "plain": [8.0, 4.0, 6.0, 3.0], "normalised": [5.0, 1.0, 2.0, np.nan]}
    )
    losses["plain_pixels"], losses["normalised_pixels"] = [128, 128, 256, 256], [128, 128, 256, np.nan]
    figures.descent(losses)
    assert drawn == [[1, 0.5], [1, 0.5], [1, 0.2], [1]]
