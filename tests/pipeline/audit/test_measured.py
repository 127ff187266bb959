"""When a file counts as normalised."""

import json
import math

import pytest
import torch
from torch import Tensor

from unitmean.graph.variables import ONE
from unitmean.pipeline.audit.candidates import Candidate
from unitmean.pipeline.audit.measured import Measured, candidate_table, figures
from unitmean.statistics.moments import Moments, per_image

CHANNELS = 200
CANDIDATE = Candidate("warp 224", "caffe", "zeros", "max")


def layer(images: int, level: float, scatter: float = 0.05, seed: int = 0) -> Moments:
    """Channels that rise and fall together from image to image, by 30%, around `level`."""
    generator = torch.Generator().manual_seed(seed)
    bright = torch.randn(images, 1, generator=generator)
    bright = 0.3 * (bright - bright.mean()) / bright.std()
    own = (scatter * torch.randn(CHANNELS, generator=generator)).exp()
    return Moments.of(per_image(level * (1 + bright) * own, 1))


def seldom(images: int, active: int, value: float) -> Moments:
    """Channels that only so many of the images make active."""
    values = torch.zeros(images, CHANNELS)
    values[:active] = value
    return Moments.of(per_image(values, 1))


def mixed(*parts: tuple[Moments, int]) -> Moments:
    """The first channels of each."""
    counts = [count for _, count in parts]
    split = [moments.split([count, CHANNELS - count])[0] for moments, count in parts]
    assert sum(counts) == CHANNELS
    names = ("mean", "mean_square", "square", "maximum", "active", "histogram")
    joined = [torch.cat([getattr(moments, name) for moments in split]) for name in names]
    return Moments(split[0].images, *joined)


def free(number: int) -> Tensor:
    """The variables of the layer of that number, each of its own."""
    return torch.arange(CHANNELS) + number * CHANNELS + ONE + 1


def measured(*layers: Moments) -> Measured:
    names = [f"relu{i}" for i in range(len(layers))]
    variables = {name: free(i) for i, name in enumerate(names)}
    return Measured(CANDIDATE, dict(zip(names, layers, strict=True)), variables)


@pytest.mark.parametrize(
    ("images", "level", "scatter", "normalised"),
    [
        (1000, 1.0, 0.05, True),
        (16, 1.2, 0.05, True),  # brighter images than the many; a standard error is 9% of one
        (1000, 1.2, 0.05, False),  # of so many images that is no chance
        (16, 1.5, 0.05, False),
        (16, 1.0, 1.0, False),
        (1000, 1.0, 1.0, False),
    ],
)
def test_near_one_but_for_what_sampling_explains(
    images: int, level: float, scatter: float, normalised: bool
) -> None:
    assert measured(layer(images, level, scatter)).normalised is normalised


@pytest.mark.parametrize("level", [4.0, 0.25])
def test_one_layer_that_is_off_is_not_hidden_by_the_others(level: float) -> None:
    good = [layer(100, 1.0, seed=i) for i in range(5)]
    assert measured(*good).normalised
    found = measured(*good, layer(100, level))
    assert not found.normalised and "NOT" in found.verdict
    assert f"1 of 6 layers are off: relu5 (median mean {level:.3g}".rstrip("0") in found.words
    assert figures([found], 100)["audit_layers_off"] == 1


def test_a_layer_that_is_never_active_is_not_normalised() -> None:
    found = measured(layer(100, 1.0), layer(100, 0.0))
    assert not found.normalised and found.verdict == "NOT KNOWN to be normalised"


def test_where_nothing_is_known_there_are_no_figures() -> None:
    found = measured(layer(100, 0.0), seldom(100, 1, 100.0))
    assert found.verdict == "NOT KNOWN to be normalised" and "none of 400 channels" in found.words
    told = figures([found], 100)
    assert (told["audit_spread"], told["audit_distance"], told["audit_within_3"]) == (None, None, None)
    assert json.loads(json.dumps(told, allow_nan=False))["audit_unknown"] == 400
    assert candidate_table([found])["spread"].isna().all()


def test_channels_that_hardly_any_image_makes_active_are_judged_neither_way() -> None:
    """As `normalise` leaves them: at a mean of a hundredth, known from one image of a hundred."""
    left = mixed((layer(100, 1.0), 150), (seldom(100, 1, 1.0), 30), (layer(100, 0.0), 20))
    found = measured(layer(100, 1.0, seed=1), left)
    assert found.normalised and found.spread < 0.1
    assert found.within > 0.9 and len(found.known) == 350
    assert "not judged, since too few images make them active: 50" in found.words
    assert figures([found], 100)["audit_unknown"] == 50
    assert found.unexplained["known"].all()


def test_a_few_channels_that_are_off_fail_their_layer_and_do_not_rank_the_candidates() -> None:
    """As of a file that was made on other images, which hardly made them active."""
    found = measured(mixed((layer(100, 1.0, 0.01), CHANNELS - 8), (layer(100, 0.01), 8)))
    assert not found.normalised and len(found.unexplained) == 8 and found.spread < 0.05
    assert "1 of 1 layers are off: relu0 (median mean 1, logarithms' deviation 0.9" in found.words


@pytest.mark.parametrize(("images", "quantile"), [(8, 8.467), (33, 4.5998), (1000, 4.0171)])
def test_few_images_explain_more(images: int, quantile: float) -> None:
    """As many standard errors as Student's distribution has in the place of the normal one's four."""
    for factor, explained in ((0.98, True), (1.04, False)):
        shown = layer(images, 1.0)
        table = measured(shown).table
        away = math.exp(factor * quantile * table["standard_error"][0] / table["mean"][0]) / table["mean"][0]
        for scale in (away, 1 / (away * table["mean"][0] ** 2)):
            moved = measured(shown.scaled(torch.full((CHANNELS,), scale, dtype=torch.float64))).table
            assert moved["explained"][0] == explained and moved["shared_mean"].equals(moved["mean"])


def test_a_layer_of_which_too_little_is_known_is_not_judged() -> None:
    for known, verdict in ((60, "normalised"), (40, "NOT KNOWN to be normalised")):
        rest = seldom(100, 1, 100.0)  # whose means are one
        found = measured(layer(100, 1.0), mixed((layer(100, 1.0), known), (rest, CHANNELS - known)))
        assert found.verdict == verdict and found.normalised is (known == 60)
    assert "1 of 2 layers have too few channels that these images make active" in found.words
    assert "40 of 200 channels" in found.words


def test_channels_that_share_a_factor_are_judged_by_what_it_can_make_one() -> None:
    """The geometric mean of both layers' means; each by itself may be anything."""
    tied = {"relu0": free(0), "relu1": free(0)}
    means = {"relu0": layer(100, 5.0), "relu1": layer(100, 0.2)}
    found = Measured(CANDIDATE, means, tied)
    assert found.normalised and found.table["explained"].all()
    assert found.table["shared_mean"].between(0.8, 1.25).all() and found.table["mean"].max() > 4
    assert not Measured(CANDIDATE, means, {"relu0": free(0), "relu1": free(1)}).normalised
    off = {"relu0": layer(100, 5.0), "relu1": layer(100, 1.0)}
    assert not Measured(CANDIDATE, off, tied).normalised


def test_channels_that_may_have_no_factor_are_left_out() -> None:
    pinned = {"relu0": free(0), "relu1": torch.full((CHANNELS,), ONE)}
    found = Measured(CANDIDATE, {"relu0": layer(100, 1.0), "relu1": layer(100, 9.0)}, pinned)
    assert found.normalised and len(found.table) == CHANNELS
