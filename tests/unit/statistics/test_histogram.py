"""Quantiles from counts are numpy's, to a bucket's width; parts add up."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unitmean.errors import DataError
from unitmean.statistics.histogram import BUCKETS, per_image_counts
from unitmean.statistics.kinds import statistics, values
from unitmean.statistics.moments import Moments, per_image, per_image_at_once, total, with_counts


def activations(n: int = 6) -> torch.Tensor:
    x = torch.randn(n, 4, 40, 30, generator=torch.Generator().manual_seed(0))
    return (x * torch.tensor([1e-3, 1.0, 3e4, 0.0]).view(-1, 1, 1)).relu()


@pytest.mark.parametrize("share", [0.4, 0.6, 0.9, 0.99, 0.999, 1.0])
def test_quantiles_are_numpys_nearly(share: float) -> None:
    x = activations()
    found = statistics()["quantile"].of(Moments.of(with_counts(per_image)(x, 1)).summary(), share)
    exact = np.quantile(x.transpose(0, 1).reshape(4, -1).numpy(), share, axis=1)
    np.testing.assert_allclose(found, exact, rtol=0.03)


def test_parts_and_ways_make_no_difference() -> None:
    x = activations()
    whole = Moments.of(with_counts(per_image)(x, 1))
    parts = total([Moments.of(with_counts(per_image_at_once)(part, 1)) for part in x.split([1, 2, 3])])
    assert torch.equal(whole.histogram, parts.histogram)
    last = per_image_counts(x.permute(0, 2, 3, 1).contiguous(), 3)
    assert torch.equal(last.sum(1).T.double(), whole.histogram)


def test_without_positions_and_without_counts() -> None:
    x = activations()[:, :, 0, 0]
    assert torch.equal(per_image_counts(x, 1).sum((0, 1)), torch.full((4,), 6.0))
    plain = Moments.of(per_image(x, 1))
    assert plain.histogram.shape == (4, 0)
    assert (plain + plain).histogram.shape == (4, 0)


@given(st.floats(-(2.0**100), 2.0**100, width=32))
def test_every_number_has_a_bucket_that_holds_it(value: float) -> None:
    counts = per_image_counts(torch.tensor([[value]]), 1)[:, 0, 0]
    assert counts.sum() == 1
    k = int(counts.argmax())
    low = 0.0 if k == 0 else 2.0 ** (-24 + (k - 1) // 8) * (1 + (k - 1) % 8 / 8)
    high = 2.0 ** (-24 + k // 8) * (1 + k % 8 / 8)
    assert (value >= low or k == 0) and (value < high or k == BUCKETS - 1)


def test_what_lies_beyond_the_last_bucket_is_not_known() -> None:
    x = torch.tensor([[1.0, 2.0**24 - 2, 2.0**26], [1.0, 2.0**24 - 2, 2.0**24 - 2]])[..., None]
    summary = Moments.of(with_counts(per_image)(torch.cat([x, x * 0.5]), 1)).summary()
    last, median = (statistics()["quantile"].of(summary, share) for share in (1.0, 0.6))
    assert last.tolist() == [1.0, 2.0**24 - 2, 2.0**26]
    assert median.isnan().tolist() == [False, False, True]
    with pytest.raises(DataError, match="60% quantile must be known of every channel; found 1 of 'relu'"):
        values("quantile", {"relu": summary}, 0.6)
