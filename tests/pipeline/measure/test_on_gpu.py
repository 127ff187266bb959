"""The tensor code of a GPU's path, walked without one: no CPU tensor may meet one of the GPU's."""

import pytest
import torch
from collecting_project import SIZE, measurement
from torch._subclasses.fake_tensor import FakeTensorMode

from unitmean.statistics.moments import per_image_at_once, with_counts


@pytest.mark.parametrize("precision", ["float32", "tf32", "float16", "bfloat16"])
def test_sums_of_batches_stay_on_the_device(precision: str) -> None:
    work = measurement(precision=precision, device="cuda")
    with FakeTensorMode():
        pixels = torch.zeros(4, 3, SIZE, SIZE, dtype=torch.uint8, device="cuda")
        shown = work._shown(pixels)
        assert shown.device.type == "cuda" and shown.shape == pixels.shape
        found = {
            site.name: per_image_at_once(
                torch.zeros(4, site.channels, 5, 5, dtype=shown.dtype, device="cuda"), site.dim
            )
            for site in work.sites
        }
        sums = work._together(found, 4) + work._together(found, 4)
        assert sums.images == 8
        for tensor in (sums.mean, sums.mean_square, sums.square, sums.maximum, sums.active):
            assert tensor.device.type == "cuda" and tensor.dtype == torch.float64
            assert tensor.shape == (sum(site.channels for site in work.sites),)


def test_histograms_are_counted_on_the_device() -> None:
    work = measurement(device="cuda", histograms=True)
    with FakeTensorMode():
        reduction = with_counts(per_image_at_once)
        found = {
            site.name: reduction(torch.zeros(2, site.channels, 5, 5, device="cuda"), site.dim)
            for site in work.sites
        }
        assert work._together(found, 2).histogram.device.type == "cuda"
