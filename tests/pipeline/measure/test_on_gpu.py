"""A GPU's sums are the CPU's, in every precision."""

import pytest
import torch
from pipeline.measure.collecting_project import images, measurement

from unitmean.pipeline.index.index import Index
from unitmean.pipeline.measure.range import in_range

pytestmark = pytest.mark.usefixtures("gpu")
# What a mean may be off: rounding of products and activations to 24, 11, 11 and 8 bits.
ALLOWED = {"float32": 1e-5, "tf32": 1e-2, "float16": 1e-2, "bfloat16": 5e-2}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return images(tmp_path_factory.mktemp("images"))


@pytest.mark.parametrize("precision", ALLOWED)
def test_sums(precision: str, index: Index) -> None:
    exact = measurement().of(index)
    work = measurement(device="cuda", precision=precision, batch_size=4)
    found = (in_range(work, index) if precision == "float16" else work).of(index)
    for site, wanted in exact.items():
        moments = found[site]
        assert moments.images == 11 and moments.mean.device.type == "cpu"
        live = wanted.mean > 0.01 * wanted.mean.max()
        for name in ("mean", "mean_square", "square", "maximum"):
            ratio = getattr(moments, name)[live] / getattr(wanted, name)[live]
            assert (ratio - 1).abs().max() < 2 * ALLOWED[precision], (site, name)


def test_histograms(index: Index) -> None:
    exact = measurement(histograms=True).of(index)
    found = measurement(device="cuda", histograms=True).of(index)
    for site, wanted in exact.items():
        counted = found[site].histogram
        assert torch.equal(counted.sum(1), wanted.histogram.sum(1))
        assert (counted - wanted.histogram).abs().sum() <= 1e-3 * wanted.histogram.sum()


def test_a_batch_that_is_seen(index: Index) -> None:
    pixels = next(measurement()._batches([index]))
    sums, _ = measurement(device="cuda").seen(pixels)
    exact, _ = measurement().seen(pixels)
    for site, wanted in exact.items():
        torch.testing.assert_close(sums[site].mean, wanted.mean, rtol=1e-4, atol=1e-6)
