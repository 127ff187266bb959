"""The numbers of a report, from the files that the stages wrote."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from unitmean.pipeline.disk.documents import unusable

PICTURES = ("content", "style", "plain", "normalised")


@dataclass(frozen=True)
class Transfer:
    """A style transfer with both networks: its figures, losses by step, style losses by layer, pictures.

    settings: those that decide what may be said of it: `pooling` and `layer_weights`; and the sha256 of the
    rescaled weights.
    """

    figures: Mapping[str, Any]
    settings: Mapping[str, Any]
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

    dataset: Mapping[str, Any]
    weights: Mapping[str, Any]
    provenance: Mapping[str, Any]
    invariance: Mapping[str, Any]
    rescale: Mapping[str, Any]
    transfer: Transfer | None  # none where the proof failed, or where transfer.enabled is false
    audit: Audit | None  # none where audit.enabled is false
    loading: str  # Python that loads normalised.safetensors, as in card.json; empty where the proof failed
    exports: Sequence[Mapping[str, str]]  # name of each exported file and how it is loaded, as in card.json
    skipped: int  # images that could not be decoded
    left_out: int  # files that are no images
    statistics: pd.DataFrame
    convergence: pd.DataFrame
    factors: pd.DataFrame
    inputs: pd.DataFrame
    layers: pd.DataFrame
    means: pd.DataFrame

    @property
    def model(self) -> Mapping[str, Any]:
        """The network as it was measured: its name, pooling and padding."""
        found: Mapping[str, Any] = self.provenance["statistics"]["model"]
        return found


def read_pictures(folder: Path) -> dict[str, bytes]:
    """The four pictures of a style transfer, as PNG bytes by name."""
    try:
        return {name: (folder / f"{name}.png").read_bytes() for name in PICTURES}
    except OSError as error:
        raise unusable(folder, f"the pictures {', '.join(PICTURES)}", error) from error


def data_uri(content: bytes, kind: str) -> str:
    """The bytes as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
