"""Generated images with the statistics of natural ones: dead leaves with 1/f textures.

Opaque leaves of power-law sizes occlude each other, so that there are edges at every scale and the power
spectrum falls like a photograph's (Lee, Mumford and Huang, Occlusion models for natural images, IJCV 2001).
"""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from unitmean.pipeline.disk.ahead import ahead

Array = NDArray[np.float64]

LEAVES = 800
# Semi-axes in fractions of the side. Their density is r^-3, the one that looks alike at every scale (ibidem).
SMALLEST, LARGEST = 0.016, 0.35
# Natural colours vary most in luminance, less from blue to yellow, least from red to green
# (Ruderman, Cronin and Chiao, Statistics of cone responses to natural images, JOSA A 1998).
OPPONENT = np.array([[1, 1, 1], [0.5, 0.35, -0.85], [0.7, -0.65, -0.05]])
SPREAD = np.array([1.0, 0.32, 0.16])
MEAN = np.array([0.485, 0.456, 0.406])  # ImageNet's, in RGB, as torchvision states it
QUALITY = 90  # of the JPEG


def dead_leaves(size: int, seed: int, i: int) -> Image.Image:
    """Image number `i` of a seed, `size` by `size` RGB pixels; the same for the same arguments."""
    rng = np.random.default_rng([seed, i])
    leaf = _leaves(size, rng)
    # A third of the colours' variance is the scene's, the rest each leaf's own.
    colour = _colours(rng, 1) * 3**-0.5 + _colours(rng, LEAVES + 1) * 1.5**-0.5
    light = np.exp(colour[leaf] + _texture(leaf, rng))
    pixels = (
        255 * light / (light + 1 / MEAN - 1)
    )  # a film's response: any light into (0, 1), light 1 to the mean
    image = Image.fromarray(np.rint(pixels).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(0.6))  # a lens: edges are about a pixel wide


def write_tar(path: Path, count: int, size: int, seed: int) -> None:
    """`count` images as JPEGs in one plain tar, numbered as ILSVRC does; equal arguments give equal bytes."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, data in enumerate(_jpegs(count, size, seed), start=1):
            member = tarfile.TarInfo(f"generated_{number:08d}.JPEG")  # no time, no owner
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def _jpegs(count: int, size: int, seed: int) -> Iterator[bytes]:
    def jpeg(i: int) -> bytes:
        file = io.BytesIO()
        dead_leaves(size, seed, i).save(file, "JPEG", quality=QUALITY)
        return file.getvalue()

    return ahead(jpeg, range(count))


def _leaves(size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The number of the ellipse that each pixel shows, later ones on top; 0 is the ground."""
    long = size * rng.uniform(LARGEST**-2, SMALLEST**-2, LEAVES) ** -0.5
    short = long * rng.uniform(0.35, 1, LEAVES)
    angle = rng.uniform(0, np.pi, LEAVES)
    x, y = size * rng.uniform(-0.1, 1.1, (2, LEAVES))
    cos, sin = np.cos(angle), np.sin(angle)
    # Inside: a u^2 + b u v + c v^2 < 1, where (u, v) is the offset from the centre.
    a, c = (cos / long) ** 2 + (sin / short) ** 2, (sin / long) ** 2 + (cos / short) ** 2
    b = 2 * cos * sin * (long**-2 - short**-2)
    width, height = np.hypot(long * cos, short * sin), np.hypot(long * sin, short * cos)
    left, right, top, bottom = (
        np.clip(edge, 0, size).astype(int) for edge in (x - width, x + width + 1, y - height, y + height + 1)
    )
    leaf = np.zeros((size, size), np.int64)
    pixel = np.arange(size)
    for k in range(LEAVES):
        u = pixel[left[k] : right[k]] - x[k]
        v = (pixel[top[k] : bottom[k]] - y[k])[:, None]
        inside = (a[k] * u + b[k] * v) * u + c[k] * v * v < 1
        leaf[top[k] : bottom[k], left[k] : right[k]][inside] = k + 1
    return leaf


def _colours(rng: np.random.Generator, count: int) -> Array:
    """Logarithms of RGB light, `count` by 3."""
    colours: Array = (rng.normal(size=(count, 3)) * SPREAD) @ OPPONENT
    return colours


def _texture(leaf: NDArray[np.int64], rng: np.random.Generator) -> Array:
    """What is added to the log light of each pixel, h w 1: every leaf has its own patch and roughness."""
    size = len(leaf)
    fields = np.stack([_noise(size, rng, stretch) for stretch in (1.0, 4.0, 0.25)])
    field = rng.integers(len(fields), size=LEAVES + 1)[leaf]
    dy, dx = rng.integers(size, size=(2, LEAVES + 1))
    y, x = np.indices(leaf.shape)
    patch: Array = fields[field, (y + dy[leaf]) % size, (x + dx[leaf]) % size]  # the fields are periodic
    roughness = rng.gamma(2.0, 0.14, LEAVES + 1)[leaf]
    return (patch * roughness)[..., None]


def _noise(size: int, rng: np.random.Generator, stretch: float) -> Array:
    """A periodic field of mean 0 and variance 1, its amplitude as 1/frequency; `stretch` gives it a grain."""
    fy, fx = np.fft.fftfreq(size)[:, None] * stretch, np.fft.rfftfreq(size)
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = np.inf
    phase = rng.normal(size=frequency.shape) + 1j * rng.normal(size=frequency.shape)
    raw = np.fft.irfft2(phase / frequency, s=(size, size))
    field: Array = (raw - raw.mean()) / (raw.std() or 1.0)  # a single pixel has no texture
    return field
