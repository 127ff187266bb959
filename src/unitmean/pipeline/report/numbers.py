"""Numbers as people read them."""

from collections.abc import Iterable, Iterator

import pandas as pd
from markupsafe import Markup


def number(value: float | None) -> Markup:
    """A figure as people read it: 0.572, 1,234, 9.0 × 10<sup>−14</sup>; a dash for none."""
    if value is None or pd.isna(value):
        return Markup("–")
    if value == 0:
        return Markup("0")
    if 999.5 <= abs(value) < 999_999.5:
        return Markup(f"{value:,.0f}")
    if 0.001 <= abs(value) < 999.5:
        return Markup(f"{value:.3g}")
    mantissa, exponent = f"{value:.1e}".split("e")
    return Markup("{} × 10<sup>{}</sup>").format(mantissa, f"{int(exponent)}".replace("-", "−"))


def interval(ends: tuple[float, float]) -> Markup:
    """Two figures as people read them; one where they look alike."""
    low, high = map(number, ends)
    return low if low == high else Markup("{} – {}").format(low, high)


def ranges(channels: Iterable[int]) -> str:
    """Consecutive numbers joined: 3, 17–19."""
    return ", ".join(f"{a}–{b}" if b > a else f"{a}" for a, b in _runs(sorted(channels)))


def _runs(ordered: list[int]) -> Iterator[tuple[int, int]]:
    start = previous = None
    for channel in ordered:
        if start is not None and previous is not None and channel != previous + 1:
            yield start, previous
            start = None
        start = channel if start is None else start
        previous = channel
    if start is not None and previous is not None:
        yield start, previous
