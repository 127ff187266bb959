"""Style transfer on a network of two layers."""

import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from unitmean.errors import ConfigError
from unitmean.style.forecast import forecast
from unitmean.style.gram import gram
from unitmean.style.losses import (
    Features,
    Losses,
    LossWeights,
    Style,
    content_loss,
    losses_at_start,
    style_loss,
    total_variation,
)
from unitmean.style.stylise import Descent, stylise

WEIGHTS = LossWeights("b", ["a", "b"], content=1.0, style=1000.0)


def network(scale: float = 1.0) -> Features:
    generator = torch.Generator().manual_seed(0)
    first, second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 5, 3, padding=1)
    for layer in (first, second):
        assert layer.bias is not None
        layer.requires_grad_(False)
        layer.weight.normal_(0, 0.3, generator=generator)
        layer.bias.normal_(0, 0.1, generator=generator)
    first.weight.mul_(scale)

    def features(x: Tensor) -> dict[str, Tensor]:
        a = first(x).relu()
        b = second(nn.functional.avg_pool2d(a, 2)).relu()
        return {"a": a, "b": b}

    return features


@pytest.fixture
def pictures() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(1, 3, 12, 10, generator=generator), torch.rand(1, 3, 12, 10, generator=generator) ** 2


def test_gram_is_the_sum_of_products_over_positions() -> None:
    x = torch.rand(1, 3, 4, 5)
    expected = sum(torch.outer(x[0, :, i, j], x[0, :, i, j]) for i in range(4) for j in range(5))
    torch.testing.assert_close(gram(x), expected)


def test_gram_does_not_see_where() -> None:
    x = torch.rand(1, 3, 4, 5)
    torch.testing.assert_close(gram(x), gram(x.flatten(2)[..., torch.randperm(20)].view_as(x)))


def test_gram_has_the_gradient_that_it_must() -> None:
    x = torch.rand(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(gram, (x,))


def test_losses_are_the_papers() -> None:
    f, p = torch.rand(1, 2, 3, 4, dtype=torch.float64), torch.rand(1, 2, 3, 4, dtype=torch.float64)
    assert content_loss(f, p).item() == pytest.approx(0.5 * ((f - p) ** 2).sum().item() / (2 * 12))
    difference = ((gram(f) - gram(p)) ** 2).sum().item()
    assert style_loss(f, gram(p)).item() == pytest.approx(difference / (4 * 2**2 * 12**2))


def test_style_loss_grows_with_the_fourth_power_of_the_scale() -> None:
    f, p = torch.rand(1, 2, 3, 4), torch.rand(1, 2, 3, 4)
    assert style_loss(10 * f, gram(10 * p)).item() == pytest.approx(
        1e4 * style_loss(f, gram(p)).item(), rel=1e-4
    )


def test_transfers_towards_the_style(pictures: tuple[Tensor, Tensor]) -> None:
    content, style = pictures
    before = content.clone()
    seen = []
    result = stylise(
        network(),
        content,
        style,
        weights=WEIGHTS,
        descent=Descent(30),
        on_step=lambda i, loss, picture: seen.append(i),
    )
    assert result.decrease > 0.9
    assert torch.equal(content, before)
    assert result.picture.min() >= 0 and result.picture.max() <= 1
    assert seen == list(range(len(result.losses)))
    totals = [losses.total for losses in result.losses]
    assert totals == sorted(totals, reverse=True)
    assert result.losses[0].content == 0  # it starts from the content picture


def test_losses_are_those_of_the_picture_returned(pictures: tuple[Tensor, Tensor]) -> None:
    content, style = pictures
    features = network()
    result = stylise(features, content, style, weights=WEIGHTS, descent=Descent(10))
    found = features(result.picture)
    grams = {layer: gram(activation) for layer, activation in features(style).items()}
    last = result.losses[-1]
    assert last.content == pytest.approx(content_loss(found["b"], features(content)["b"]).item(), rel=1e-4)
    for layer in ("a", "b"):
        assert last.style[layer] == pytest.approx(
            500 * style_loss(found[layer], grams[layer]).item(), rel=1e-4
        )


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_works_at_any_scale_of_the_weights(pictures: tuple[Tensor, Tensor], scale: float) -> None:
    """Where the tolerances of L-BFGS were absolute, small scales would stop at once."""
    weights = LossWeights("a", ["a"], content=0.0, style=1.0)
    assert stylise(network(scale), *pictures, weights=weights, descent=Descent(15)).decrease > 0.8


def test_is_deterministic(pictures: tuple[Tensor, Tensor]) -> None:
    results = [stylise(network(), *pictures, weights=WEIGHTS, descent=Descent(8)) for _ in range(2)]
    assert torch.equal(results[0].picture, results[1].picture)
    assert results[0].losses == results[1].losses


def test_a_loss_that_is_not_finite_ends_it(pictures: tuple[Tensor, Tensor]) -> None:
    content, style = pictures
    result = stylise(
        lambda x: {"b": x * float("nan"), "a": x}, content, style, weights=WEIGHTS, descent=Descent(5)
    )
    assert len(result.losses) == 1
    assert math.isnan(result.losses[-1].total)
    assert math.isnan(result.decrease)


def test_nothing_to_do_ends_it(pictures: tuple[Tensor, Tensor]) -> None:
    content, _ = pictures
    result = stylise(network(), content, content, weights=WEIGHTS, descent=Descent(5))
    assert len(result.losses) == 1
    assert torch.equal(result.picture, content)


def test_losses_at_start_are_the_first(pictures: tuple[Tensor, Tensor]) -> None:
    first = stylise(network(), *pictures, weights=WEIGHTS, descent=Descent(1)).losses[0]
    assert losses_at_start(network(), *pictures, WEIGHTS) == first


def test_spread_compares_the_loudest_layer_with_the_quietest() -> None:
    assert Losses(1.0, {"a": 6.0, "b": 3.0, "c": 2.0}).spread == 3
    assert Losses(1.0, {"a": 6.0, "b": 0.0}).spread == math.inf


def test_a_style_layer_is_needed() -> None:
    with pytest.raises(ConfigError, match=r"style_layers .* found \[\]: name one"):
        LossWeights("a", [], 1.0, 1.0)


def test_the_authors_correction_is_by_channels(pictures: tuple[Tensor, Tensor]) -> None:
    alike = losses_at_start(network(), *pictures, WEIGHTS)
    corrected = losses_at_start(
        network(), *pictures, LossWeights("b", ["a", "b"], 1.0, 1000.0, by_channels=True)
    )
    for layer, channels in (("a", 6), ("b", 5)):
        assert corrected.style[layer] == pytest.approx(alike.style[layer] * 2 / channels**2)


def test_presets_weights_are_the_authors() -> None:
    """1e9/5 a layer against content 1e6, in losses that are means over N^2 and over N M."""
    f, p = torch.rand(1, 6, 3, 4, dtype=torch.float64), torch.rand(1, 6, 3, 4, dtype=torch.float64)
    mse = nn.functional.mse_loss
    style = 1e9 / 5 * mse(gram(f) / 12, gram(p) / 12) / (1e6 * mse(f, p))
    assert 2000 / 5 * style_loss(f, gram(p)) / content_loss(f, p) == pytest.approx(style.item())
    style = 1e3 / 6**2 * mse(gram(f) / 12, gram(p) / 12) / mse(f, p)  # the original network's
    assert 2000 / 6**2 * style_loss(f, gram(p)) / content_loss(f, p) == pytest.approx(style.item())


def test_shares_and_retuning() -> None:
    losses = Losses(1.0, {"a": 6.0, "b": 3.0, "c": 1.0})
    assert losses.shares == {"a": 0.6, "b": 0.3, "c": 0.1}
    assert losses.retuning == {"a": 1.0, "b": 2.0, "c": 6.0}


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam"])
@pytest.mark.parametrize("init", ["content", "style", "noise"])
def test_from_any_start_by_either_optimiser(
    pictures: tuple[Tensor, Tensor],
    init: Literal["content", "style", "noise"],
    optimiser: Literal["lbfgs", "adam"],
) -> None:
    descent = Descent(25, optimiser=optimiser, init=init, rate=0.05)
    results = [stylise(network(), *pictures, weights=WEIGHTS, descent=descent) for _ in range(2)]
    assert torch.equal(results[0].picture, results[1].picture)
    content_only = losses_at_start(network(), *pictures, WEIGHTS).total
    last = results[0].losses[-1].total
    assert last < 0.6 * content_only and last <= results[0].losses[0].total
    assert results[0].picture.min() >= 0 and results[0].picture.max() <= 1


def test_starts_are_what_they_say(pictures: tuple[Tensor, Tensor]) -> None:
    def start(descent: Descent) -> Tensor:
        seen: list[Tensor] = []

        def on_step(step: int, losses: Losses, picture: Tensor) -> None:
            seen.append(picture.clone())

        stylise(network(), *pictures, weights=WEIGHTS, descent=descent, on_step=on_step)
        return seen[0]

    content, style = pictures
    assert torch.equal(start(Descent(1, init="content")), content)
    assert torch.equal(start(Descent(1, init="style")), style)
    noise = start(Descent(1, init="noise"))
    assert not torch.equal(noise, content)
    assert not torch.equal(noise, start(Descent(1, init="noise", seed=1)))


def test_coarse_to_fine(pictures: tuple[Tensor, Tensor]) -> None:
    content, style = (nn.functional.interpolate(picture, scale_factor=4) for picture in pictures)
    sizes: list[tuple[int, ...]] = []
    steps: list[int] = []

    def on_step(step: int, losses: Losses, picture: Tensor) -> None:
        sizes.append(tuple(picture.shape[2:]))
        steps.append(step)

    result = stylise(
        network(), content, style, weights=WEIGHTS, descent=Descent(3, scales=3), on_step=on_step
    )
    assert result.picture.shape == content.shape
    assert list(dict.fromkeys(sizes)) == [(12, 10), (24, 20), (48, 40)]
    assert steps == list(range(len(result.losses))) and len(steps) == 12
    assert result.sides == [max(size) for size in sizes]
    assert result.losses[-1].total < result.losses[0].total


@pytest.mark.parametrize("init", ["content", "style", "noise"])
def test_losses_are_compared_at_the_size_of_the_picture(
    pictures: tuple[Tensor, Tensor], init: Literal["content", "style", "noise"]
) -> None:
    content, style = (nn.functional.interpolate(picture, scale_factor=4) for picture in pictures)
    once, twice = (
        stylise(network(), content, style, weights=WEIGHTS, descent=Descent(3, scales=scales, init=init))
        for scales in (1, 3)
    )
    assert once.start == once.losses[0] == twice.start != twice.losses[0]
    assert twice.decrease == 1 - twice.losses[-1].total / once.losses[0].total


def test_several_styles_are_their_mean_gram_matrix(pictures: tuple[Tensor, Tensor]) -> None:
    content, style = pictures
    other = torch.rand(1, 3, 20, 14, generator=torch.Generator().manual_seed(2))  # of another size
    mixed = losses_at_start(network(), content, [Style(style, 3.0), Style(other, 1.0)], WEIGHTS)
    found, seen = network()(content), [network()(picture) for picture in (style, other)]
    for layer in ("a", "b"):
        ours, first, second = (gram(x) / x[0, 0].numel() for x in (found[layer], *(s[layer] for s in seen)))
        squared = (ours - 0.75 * first - 0.25 * second).double().square().sum() / (4 * len(ours) ** 2)
        assert mixed.style[layer] == pytest.approx(500 * squared.item(), rel=1e-5)


def test_a_mask_keeps_a_style_in_its_place(pictures: tuple[Tensor, Tensor]) -> None:
    content, style = pictures
    whole = losses_at_start(network(), content, style, WEIGHTS)
    everywhere = losses_at_start(network(), content, [Style(style, 1.0, torch.ones(1, 1, 12, 10))], WEIGHTS)
    assert everywhere.style == pytest.approx(whole.style, rel=1e-5)
    left = torch.zeros(1, 1, 12, 10)
    left[..., :5] = 1
    first = lambda x: {"a": x, "b": x}  # noqa: E731
    beside = content.clone()
    beside[..., 5:] = 0.5  # where the style doesn't go
    here = losses_at_start(first, content, [Style(style, 1.0, left)], WEIGHTS)
    there = losses_at_start(first, beside, [Style(style, 1.0, left)], WEIGHTS)
    assert here.style == pytest.approx(there.style, rel=1e-6)


def test_total_variation_makes_it_smooth(pictures: tuple[Tensor, Tensor]) -> None:
    rough, smooth = (
        stylise(network(), *pictures, weights=replace(WEIGHTS, smooth=weight), descent=Descent(20))
        for weight in (0.0, 1e4)
    )
    assert total_variation(smooth.picture) < 0.5 * total_variation(rough.picture)
    assert smooth.losses[-1].roughness == pytest.approx(
        1e4 * total_variation(smooth.picture).item(), rel=1e-4
    )


def test_the_forecast_counts_what_grows_with_pixels(pictures: tuple[Tensor, Tensor]) -> None:
    content, style = (nn.functional.interpolate(picture, scale_factor=8) for picture in pictures)
    small, large = (
        forecast(network(), content, [Style(style)], weights=WEIGHTS, descent=Descent(10, scales=scales))
        for scales in (1, 3)
    )
    assert large.bytes == pytest.approx(small.bytes, rel=0.2)  # the largest size is the same
    assert small.bytes > 200 * content.numel() * 4 and small.seconds > 0
