"""Damage as discs, downloads and adversaries do it, from a seed."""

import random
from collections.abc import Callable, Sequence

# What lengths and offsets are overwritten with: ends of ranges, and small numbers off by one.
EDGES = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    (1 << 63) - 1,
    (1 << 64) - 1,
)

Mutation = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def flip(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    for _bit in range(rng.choice((1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def overwrite(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start = rng.randrange(len(data))
    data[start : start + rng.randint(1, 16)] = rng.randbytes(rng.randint(1, 16))


def number(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """A length or an offset, of either byte order."""
    width = rng.choice((1, 2, 4, 8))
    start = rng.randrange(len(data))
    value = rng.choice(EDGES) & ((1 << 8 * width) - 1)
    data[start : start + width] = value.to_bytes(width, rng.choice(("little", "big")))


def digits(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """A decimal or octal number as text, of which tar and JSON make their lengths."""
    places = [i for i, byte in enumerate(data) if 48 <= byte < 58]
    if places:
        data[rng.choice(places)] = rng.choice(b"0123456789-. ")


def cut(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[rng.randrange(len(data)) :]


def remove(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.randint(1, 64)]


def repeat(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start = rng.randrange(len(data))
    data[start:start] = data[start : start + rng.randint(1, 64)] * rng.choice((1, 2, 50))


def splice(rng: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """The end of another file behind the beginning of this one."""
    other = rng.choice(seeds)
    data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :]


MUTATIONS: tuple[Mutation, ...] = (flip, flip, overwrite, number, number, digits, cut, remove, repeat, splice)


def mutate(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds after one to four mutations."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 4))):
        if data:
            rng.choice(MUTATIONS)(rng, data, seeds)
    return bytes(data)
