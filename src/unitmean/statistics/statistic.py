"""A statistic of a channel's activations that can be made one, and what it is computed from.

Importing a statistic must be quick, since the configuration's schema imports them all: it imports what it
works with inside its functions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Float64
    from torch import Tensor

LEAST = 2.0**-63
"""Smaller numbers have squares that float32 can't hold, and weights divided by them may overflow."""


@dataclass(frozen=True)
class Summary:
    """What was measured of each channel of one site, over images and positions.

    histogram: counts in the buckets of `histogram.py`, without buckets where activations were not counted.
    """

    mean: "Float64[Tensor, ' channels']"
    deviation: "Float64[Tensor, ' channels']"
    maximum: "Float64[Tensor, ' channels']"
    histogram: "Float64[Tensor, 'channels _']"


@dataclass(frozen=True)
class Statistic:
    """One value of rescale.statistic, and of `statistic=` in the library.

    of: computes what each channel is divided by; it must be proportional to the activations, and NaN where
    it isn't known. Its second argument is the setting `quantile`, which most don't read. called: the
    statistic's name in a sentence, given that setting. counted: whether it needs histograms. least: a smaller
    value isn't told from zero.
    """

    name: str
    of: "Callable[[Summary, float], Float64[Tensor, ' channels']]"
    called: Callable[[float], str]
    counted: bool = False
    least: float = LEAST
