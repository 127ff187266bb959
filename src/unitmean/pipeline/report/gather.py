"""The numbers of a report, from the files that the stages wrote."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from unitmean.errors import DataError

PICTURES = ("content", "style", "plain", "normalised")


@dataclass(frozen=True)
class Transfer:
    """A style transfer with both networks: its figures, losses by step, style losses by layer, pictures."""

    figures: Mapping[str, Any]
    losses: pd.DataFrame
    layers: pd.DataFrame
    pictures: Mapping[str, bytes]


@dataclass(frozen=True)
class Audit:
    """An audit of the weights as fetched: its figures, a row a candidate, a row a channel by the best one."""

    figures: Mapping[str, Any]
    candidates: pd.DataFrame
    means: pd.DataFrame


@dataclass(frozen=True)
class Evidence:
    """What the stages found: tables as they lie on disk, JSON as dicts, pictures as PNG bytes."""

    model: Mapping[str, Any]
    dataset: Mapping[str, Any]
    preprocess: Mapping[str, Any]
    weights: Mapping[str, Any]
    provenance: Mapping[str, Any]
    invariance: Mapping[str, Any]
    rescale: Mapping[str, Any]
    transfer: Transfer | None  # none where the proof failed
    audit: Audit | None  # none where audit.enabled is false
    card: str  # of the exports, Markdown
    skipped: int  # images that could not be decoded
    statistics: pd.DataFrame
    convergence: pd.DataFrame
    factors: pd.DataFrame
    inputs: pd.DataFrame
    layers: pd.DataFrame
    means: pd.DataFrame


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; DataError where there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unusable(path, "JSON", error) from error
    if not isinstance(value, dict):
        raise _unusable(path, "a JSON object", type(value).__name__)
    return value


def read_text(path: Path) -> str:
    """UTF-8 text; DataError where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _unusable(path, "a text", error) from error


def read_csv(path: Path) -> pd.DataFrame:
    """A table; DataError where there is none."""
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise _unusable(path, "CSV", error) from error


def read_pictures(folder: Path) -> dict[str, bytes]:
    """The four pictures of a style transfer, as PNG bytes by name."""
    try:
        return {name: (folder / f"{name}.png").read_bytes() for name in PICTURES}
    except OSError as error:
        raise _unusable(folder, f"the pictures {', '.join(PICTURES)}", error) from error


def data_uri(content: bytes, kind: str) -> str:
    """The bytes as an address that needs no request."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _unusable(path: Path, expected: str, found: object) -> DataError:
    return DataError(
        f"the report needs {expected} at {str(path)!r}; found {str(found)!r}: "
        "run `dvc repro` to write it again"
    )
