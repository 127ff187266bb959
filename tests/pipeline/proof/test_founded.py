"""Sums in a lesser precision are held against float32's over the same images."""

import torch

from unitmean.pipeline.measure.measurement import Sums
from unitmean.pipeline.proof.founded import beyond_precision
from unitmean.statistics.moments import Moments, per_image


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
    assert not list(beyond_precision(exact, exact))
    assert not list(beyond_precision(rounded(exact, 3e-3), exact))
    (words,) = beyond_precision(
        {"relu1": exact["relu1"].scaled(torch.where(torch.arange(512) == 7, 1e-9, 1.0).double())}, exact
    )
    assert "channel 7 of relu1" in words
    (words,) = beyond_precision(rounded(exact, float("nan")), exact)
    assert "channel 7 of relu1" in words
