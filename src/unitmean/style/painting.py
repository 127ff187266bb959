"""A generated style picture: brush strokes along the swirls of a flow."""

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]

# Night blues to lamp yellows, dark to light, with one warm contrast.
_PALETTE = np.array(
    [
        (13, 20, 58),
        (24, 52, 120),
        (38, 96, 168),
        (88, 150, 190),
        (206, 74, 38),
        (150, 192, 178),
        (236, 198, 84),
        (250, 236, 190),
    ]
)


def painting(seed: int, size: int = 384) -> NDArray[np.uint8]:
    """Height x width x RGB; the same for the same seed and size."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:size, 0:size] / size
    dy, dx = _flow(random, rows, columns)
    # Fine noise smeared along the flow makes bristles, coarse noise makes strokes.
    bristles = _smear(_blotches(random, size, cell=2), dy, dx, reach=14)
    bristles = (bristles - bristles.mean()) / bristles.std()
    strokes = _smear(_blotches(random, size, cell=9), dy, dx, reach=24)
    tone = _ranks(_waves(random, rows, columns) + 0.9 * strokes)
    position = np.clip(tone * len(_PALETTE) + 0.35 * bristles, 0, len(_PALETTE) - 1.001)
    below = np.floor(position)
    # A steep ramp between neighbouring colours: paint lies side by side rather than mixing.
    mix = np.clip((position - below - 0.5) * 3 + 0.5, 0, 1)[..., None]
    index = below.astype(int)
    colour = _PALETTE[index] * (1 - mix) + _PALETTE[index + 1] * mix
    lit = colour * (1 + 0.13 * bristles[..., None])
    return np.asarray(lit.clip(0, 255).round(), dtype=np.uint8)


def _flow(random: np.random.Generator, rows: Field, columns: Field) -> tuple[Field, Field]:
    """A unit vector at every pixel: a drift plus vortices."""
    dy, dx = 0.25 * np.sin(7 * columns + 3 * rows), np.full_like(rows, 0.8)
    for y, x, radius, turn in random.random((9, 4)):
        up, right, width = rows - y, columns - x, 0.05 + 0.13 * radius
        strength = np.exp(-(up**2 + right**2) / (2 * width**2)) * (5 if turn < 0.5 else -5) / width
        dy, dx = dy + strength * right, dx - strength * up
    length = np.hypot(dy, dx) + 1e-9
    return dy / length, dx / length


def _smear(values: Field, dy: Field, dx: Field, reach: int) -> Field:
    """The mean of `values` along the flow, `reach` pixels either way (line integral convolution)."""
    size = len(values)
    start = np.mgrid[0:size, 0:size].astype(float)
    total = values.copy()
    for sign in (1, -1):
        y, x = start[0].copy(), start[1].copy()
        for _ in range(reach):
            i, j = np.rint(y).astype(int) % size, np.rint(x).astype(int) % size
            y, x = y + sign * dy[i, j], x + sign * dx[i, j]
            total += values[np.rint(y).astype(int) % size, np.rint(x).astype(int) % size]
    return total / (2 * reach + 1)


def _blotches(random: np.random.Generator, size: int, cell: int) -> Field:
    """Random tones in cells as wide as a brush or a bristle."""
    coarse = random.random((size // cell + 1, size // cell + 1))
    return np.repeat(np.repeat(coarse, cell, axis=0), cell, axis=1)[:size, :size]


def _waves(random: np.random.Generator, rows: Field, columns: Field) -> Field:
    """A smooth landscape of a few sines."""
    height = np.zeros_like(rows)
    for y, x, phase in random.random((6, 3)):
        height += np.sin(2 * np.pi * (6 * (y - 0.5) * rows + 6 * (x - 0.5) * columns + phase)) / 6
    return height


def _ranks(values: Field) -> Field:
    """Each value's rank in [0, 1): every colour gets an equal share of the canvas."""
    order = np.empty(values.size)
    order[np.argsort(values, axis=None, kind="stable")] = np.arange(values.size)
    return (order / values.size).reshape(values.shape)
