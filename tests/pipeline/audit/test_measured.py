"""When a file counts as normalised."""

import pytest
import torch

from unitmean.pipeline.audit.candidates import Candidate
from unitmean.pipeline.audit.measured import Measured
from unitmean.statistics.moments import Moments, per_image

CHANNELS = 200


def measured(images: int, level: float, scatter: float = 0.05) -> Measured:
    """Channels that rise and fall together from image to image, by 30%, around `level`."""
    generator = torch.Generator().manual_seed(0)
    bright = torch.randn(images, 1, generator=generator)
    bright = 0.3 * (bright - bright.mean()) / bright.std()
    own = (scatter * torch.randn(CHANNELS, generator=generator)).exp()
    return Measured(
        Candidate("warp 224", "caffe", "zeros", "max"),
        {"relu1_1": Moments.of(per_image(level * (1 + bright) * own, 1))},
    )


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
    assert measured(images, level, scatter).normalised is normalised
