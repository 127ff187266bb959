"""Damaged files of every kind that is read: only UnitmeanError comes out.

UNITMEAN_FUZZ=20000 make fuzz     so many executions a reader
UNITMEAN_FUZZ_SEED=1              another sequence
"""

import os
import random
import zlib
from pathlib import Path

import pytest
from nightly.fuzz.mutations import mutate
from nightly.fuzz.readers import READERS, attempt

EXECUTIONS = int(os.environ.get("UNITMEAN_FUZZ", "150"))
SEED = int(os.environ.get("UNITMEAN_FUZZ_SEED", "0"))


@pytest.mark.parametrize("name", READERS)
def test_whole_files_are_read(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    assert all(attempt(reader, tmp_path / f"file{reader.suffix}", data) for data in reader.seeds())


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_raise_nothing_else(name: str, tmp_path: Path) -> None:
    reader, rng = READERS[name], random.Random(zlib.crc32(f"{name}{SEED}".encode()))
    seeds, path, taken = reader.seeds(), tmp_path / f"file{reader.suffix}", 0
    crashes: dict[str, str] = {}
    for i in range(EXECUTIONS):
        data = mutate(rng, seeds)
        try:
            taken += attempt(reader, path, data)
        except Exception as error:  # each kind is shown once, with what made it
            crashes.setdefault(f"{type(error).__name__}: {str(error)[:200]}", f"execution {i}: {data.hex()}")
    print(f"{name}: {EXECUTIONS} executions, {taken} accepted, {len(crashes)} kinds of crash")
    assert not crashes, "\n".join(f"{kind}\n  {made}" for kind, made in crashes.items())
    # The control: damage that is always seen, or never, tests nothing.
    assert 0 < taken < EXECUTIONS


def test_the_same_seed_makes_the_same_files() -> None:
    seeds = READERS["tar"].seeds()
    assert [mutate(random.Random(7), seeds) for _ in range(2)][0] == mutate(random.Random(7), seeds)
    assert len({mutate(random.Random(i), seeds) for i in range(50)}) > 40
