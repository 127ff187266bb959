"""Small differences as logarithms, since DVC's tables would round the numbers themselves to zero."""

import math

NOTHING = -17.0  # of a difference of zero: below what float64 resolves


def logarithm(difference: float) -> float:
    """A difference's logarithm to the base of ten, with two decimals."""
    return round(math.log10(difference), 2) if difference > 0 else NOTHING


def in_words(log10: float) -> str:
    """The difference as text, from its logarithm."""
    return "0" if log10 == NOTHING else f"{10**log10:.1e}"
