"""A fast measurement's error, from a precise one of the same images."""

import torch

from unitmean.statistics.control import Control, trust
from unitmean.statistics.moments import Moments, per_image, per_image_at_once


def activations() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(12, 5, 6, 6, generator=generator)
    return (x * torch.tensor([1.0, 100.0, 1e-3, 1.0, 0.0]).view(-1, 1, 1)).relu()


def test_the_ratio_is_what_undoes_a_bias() -> None:
    x = activations()
    bias = torch.tensor([1.01, 0.98, 1.0, 3.0, 1.0]).view(-1, 1, 1)
    control = Control(Moments.of(per_image(x, 1)), Moments.of(per_image(x * bias, 1)))
    # The fourth is too far off to be rounding, the fifth is never active: neither is touched.
    assert control.known.tolist() == [True, True, True, False, False]
    expected = torch.tensor([1 / 1.01, 1 / 0.98, 1.0, 1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(control.ratio, expected, rtol=1e-6, atol=0)
    # Its error is told all the same.
    expected = torch.tensor([0.01, 0.02, 0.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(control.error(), expected, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(control.error(control.ratio), expected * torch.tensor([0, 0, 0, 1]))


def test_a_mean_that_rests_on_one_image_is_not_corrected() -> None:
    x = torch.zeros(12, 1, 6, 6)
    x[3] = 1
    assert not Control(Moments.of(per_image(x, 1)), Moments.of(per_image(1.01 * x, 1))).known.any()


def halves(bias: float, chance: float) -> list[Control]:
    """Of 500 channels, whose fast means are off by a bias that all images share and by chance."""
    generator = torch.Generator().manual_seed(0)
    shared = bias * torch.randn(500, 1, 1, generator=generator)
    found = []
    for _ in range(2):
        x = torch.rand(12, 500, 2, 2, generator=generator)
        off = shared + chance * torch.randn(500, 1, 1, generator=generator)
        found.append(Control(Moments.of(per_image(x, 1)), Moments.of(per_image(x * off.exp(), 1))))
    return found


def test_a_bias_is_trusted_and_chance_is_not() -> None:
    assert trust(halves(bias=0.01, chance=0.0)) > 0.99
    assert trust(halves(bias=0.0, chance=0.01)) < 0.2
    # Both alike: the mean of two halves holds the bias squared and half of the chance squared.
    assert abs(trust(halves(bias=0.01, chance=0.01)) - 2 / 3) < 0.1
    assert trust(halves(bias=0.0, chance=0.0)) == 0 == trust(halves(bias=0.01, chance=0.0)[:1])


def test_scaled_moments_are_those_of_scaled_activations() -> None:
    x = activations()
    factor = torch.tensor([2.0, 0.5, 4.0, 1.0, 8.0], dtype=torch.float64)
    scaled = Moments.of(per_image(x, 1)).scaled(factor)
    direct = Moments.of(per_image(x * factor.float().view(-1, 1, 1), 1))
    for name in ("mean", "mean_square", "square", "maximum", "active"):
        assert torch.equal(getattr(scaled, name), getattr(direct, name))


def test_narrow_activations_are_summed_in_float32() -> None:
    x = activations().to(torch.bfloat16)
    expected = per_image(x.double(), 1).float()
    for found in (per_image(x, 1), per_image_at_once(x, 1), per_image_at_once(x.float(), 1)):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    # Sums in bfloat16 itself would be off by up to half a percent.
    assert (x.mean((2, 3)).float() / expected[0] - 1).abs()[:, :4].max() > 1e-4
    torch.testing.assert_close(per_image(x[:, :, 0, 0], 1), per_image_at_once(x[:, :, 0, 0].float(), 1))
