"""Small files between stages, JSON and CSV; a damaged one raises DataError."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from unitmean.errors import DataError

NAMES = ("site", "layer")  # columns of names, which in a torch.nn.Sequential are digits


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; DataError where there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise unusable(path, "JSON", error) from error
    if not isinstance(value, dict):
        raise unusable(path, "a JSON object", type(value).__name__)
    return value


def read_csv(path: Path) -> pd.DataFrame:
    """A table, in which names such as "1" and "null" stay texts; DataError where there is none."""
    try:
        values = [name for name in pd.read_csv(path, nrows=0).columns if name not in NAMES]
        missing = {name: ["", "nan"] for name in values}  # of names nothing is: "NA" and "null" are some
        return pd.read_csv(path, dtype=dict.fromkeys(NAMES, str), keep_default_na=False, na_values=missing)
    except (OSError, ValueError) as error:
        raise unusable(path, "CSV", error) from error


def unusable(path: Path, expected: str, found: object) -> DataError:
    """The error for a file of another stage that can't be used."""
    return DataError(
        f"{str(path)!r} must hold {expected}; found {str(found)!r}: run `dvc repro` to write it again"
    )
