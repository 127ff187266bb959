"""Moments: sums over parts are sums over the whole, and say what numpy says."""

import numpy as np
import pytest
import torch

from unitmean.statistics.moments import Moments, per_image, total


def activations(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    x = torch.randn(9, 4, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (x * torch.tensor([1e-3, 1.0, 1e3, 0.0]).view(-1, 1, 1)).relu().to(dtype)


def test_statistics_are_those_of_the_definition() -> None:
    x = activations()
    moments, values = Moments.of(per_image(x, 1)), x.numpy()
    image_means = values.mean((2, 3))
    assert moments.images == 9
    np.testing.assert_allclose(moments.expectation(), values.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(moments.standard_error(), image_means.std(0, ddof=1) / 3, rtol=1e-9)
    np.testing.assert_allclose(moments.deviation(), values.std((0, 2, 3)), rtol=1e-9)
    np.testing.assert_array_equal(moments.maximum, values.max((0, 2, 3)))
    np.testing.assert_allclose(moments.active_fraction(), (values > 0).mean((0, 2, 3)))


@pytest.mark.parametrize("sizes", [[9], [4, 5], [1] * 9])
def test_batches_make_no_difference(sizes: list[int]) -> None:
    x = activations()
    whole = Moments.of(per_image(x, 1))
    parts = total([Moments.of(per_image(part, 1)) for part in x.split(sizes)])
    assert parts.images == whole.images
    for name in ("mean", "mean_square", "square", "maximum", "active"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=1e-14, atol=0)


def test_adding_changes_neither_term() -> None:
    a, b = (Moments.of(per_image(part, 1)) for part in activations().split([4, 5]))
    before = a.mean.clone(), b.mean.clone()
    _ = a + b
    assert torch.equal(a.mean, before[0]) and torch.equal(b.mean, before[1])


def test_sums_are_float64_and_memory_format_does_not_matter() -> None:
    x = activations(torch.float32)
    plain = Moments.of(per_image(x, 1))
    last = Moments.of(per_image(x.contiguous(memory_format=torch.channels_last), 1))
    assert plain.mean.dtype == torch.float64
    torch.testing.assert_close(last.square, plain.square, rtol=1e-6, atol=0)


def test_rows_of_features_have_one_position() -> None:
    x = activations()[:, :, 0, 0]
    moments = Moments.of(per_image(x, 1))
    np.testing.assert_allclose(moments.expectation(), x.mean(0))
    assert moments.active_fraction()[3] == 0


def test_one_image_has_no_standard_error() -> None:
    assert Moments.of(per_image(activations()[:1], 1)).standard_error().isnan().all()


def test_a_channel_active_in_one_image_has_a_relative_error_of_one() -> None:
    x = torch.zeros(50, 1, 2, 2, dtype=torch.float64)
    x[7] = 3
    moments = Moments.of(per_image(x, 1))
    torch.testing.assert_close(moments.standard_error(), moments.expectation())
