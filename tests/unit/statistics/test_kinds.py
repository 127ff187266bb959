"""Each statistic is what its name says, and scales with the activations."""

import numpy as np
import pytest
import torch

from unitmean.statistics.kinds import statistics, values
from unitmean.statistics.moments import Moments, per_image, with_counts
from unitmean.statistics.statistic import Summary

X = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0)) ** 3
POSITIONS = X.transpose(0, 1).reshape(3, -1).double().numpy()
EXACT = {
    "mean": POSITIONS.mean(1),
    "rms": np.sqrt((POSITIONS**2).mean(1)),
    "max": POSITIONS.max(1),
    "quantile": np.quantile(POSITIONS, 0.9, axis=1),
}


def summary(x: torch.Tensor) -> dict[str, Summary]:
    return {"site": Moments.of(with_counts(per_image)(x, 1)).summary()}


def test_every_file_is_a_choice_and_every_choice_is_tested() -> None:
    assert statistics().keys() == EXACT.keys()


@pytest.mark.parametrize("name", EXACT)
def test_it_is_what_its_name_says_and_scales(name: str) -> None:
    found = values(name, summary(X), 0.9)["site"]
    np.testing.assert_allclose(found, EXACT[name], rtol=0.05 if name == "quantile" else 1e-6)
    np.testing.assert_allclose(values(name, summary(4 * X), 0.9)["site"], 4 * found, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "share", "words"),
    [("median", 0.5, "one of .*mean"), ("quantile", 0.0, "above 0 and at most 1")],
)
def test_others_are_refused(name: str, share: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        values(name, summary(X), share)
