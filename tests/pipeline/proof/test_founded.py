"""Sums in a lesser precision are held against float32's over the same images."""

import pandas as pd
import pytest
import torch

from unitmean.pipeline.measure.measurement import Sums
from unitmean.pipeline.proof.founded import beyond_precision
from unitmean.pipeline.proof.remeasure import mean_table
from unitmean.statistics.moments import Moments, per_image

ONE = {"relu1": torch.ones(512, dtype=torch.float64)}


def sums() -> Sums:
    generator = torch.Generator().manual_seed(0)
    return {"relu1": Moments.of(per_image(torch.rand(16, 512, 4, 4, generator=generator), 1))}


def rounded(exact: Sums, worst: float) -> Sums:
    """Each mean off by a normal error of 1e-3, and channel 7 by `worst`."""
    by = 1 + 1e-3 * torch.randn(512, generator=torch.Generator().manual_seed(1)).double()
    by[7] = 1 + worst
    return {"relu1": exact["relu1"].scaled(by)}


def test_a_precisions_own_errors_pass_and_a_wrong_channel_does_not() -> None:
    exact = sums()
    assert not list(beyond_precision(exact, exact, ONE))
    assert not list(beyond_precision(rounded(exact, 3e-3), exact, ONE))
    (words,) = beyond_precision(
        {"relu1": exact["relu1"].scaled(torch.where(torch.arange(512) == 7, 1e-9, 1.0).double())}, exact, ONE
    )
    assert "channel 7 of relu1" in words
    (words,) = beyond_precision(rounded(exact, float("nan")), exact, ONE)
    assert "channel 7 of relu1" in words


def test_a_correction_is_held_against_what_it_corrects() -> None:
    exact = sums()
    fast = rounded(exact, 3e-3)
    right = {"relu1": exact["relu1"].mean / fast["relu1"].mean}
    assert not list(beyond_precision(fast, exact, right))
    wrong = {"relu1": torch.where(torch.arange(512) == 9, 7.0, right["relu1"])}
    (words,) = beyond_precision(fast, exact, wrong)
    assert "in statistics.parquet the corrected sums of channel 9 of relu1" in words
    (words,) = beyond_precision(exact, exact, wrong)
    assert "must be 1" in words and "found" in words


def test_a_channel_never_active_before_must_not_be_so_now() -> None:
    """Of means over few images: channel 0 is active in none, though it is live over all of them."""
    images = torch.rand(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    images[:, 0] = 0
    factors = pd.DataFrame(
        {"site": "relu1", "channel": [0, 1], "mean": [0.5, 0.5], "factor": [0.5, 0.5], "reason": None}
        | {"status": "normalised"}
    )
    statistics = pd.DataFrame({"standard_error": [0.1, 0.1]})
    first = {"relu1": Moments.of(per_image(images, 1))}
    again = {"relu1": Moments.of(per_image(images / 0.5, 1))}
    table = mean_table(factors, statistics, first, again, {})
    assert table["mean_after"].tolist() == pytest.approx([1.0, 1.0])
    images[0, 0, 0, 0] = 0.09
    again = {"relu1": Moments.of(per_image(images / 0.5, 1))}
    table = mean_table(factors, statistics, first, again, {})
    assert table["mean_after"].tolist() == pytest.approx([1.0 + 0.18 / 36, 1.0])
