"""What a source of weights is: its name, the settings that it needs, and a function that gets the weights.

Importing a source must be quick, since the configuration's schema imports them all: a source imports what it
works with inside its functions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from unitmean.networks.inputs import Input

UNKNOWN = "other"
UNKNOWN_LICENCE = "not known: ask whoever published the file"


@dataclass(frozen=True)
class Request:
    """What is asked for: the `weights` section and the model, torchvision's name or FILE.py:NAME."""

    model: str
    source: str
    seed: int
    spread: float
    path: str | None
    url: str | None
    sha256: str | None
    input: str


class Origin(NamedTuple):
    """Weights from a source, as a file at `path` or as tensors that were `made`, and what it knows of them.

    facts: the source's details, as JSON keeps them. spdx: the licence's identifier, as the hub writes it.
    input: None where the source doesn't know it. downloaded: the file may be removed once it has been read.
    """

    facts: dict[str, Any]
    licence: str
    spdx: str
    input: "Input | None"
    path: Path | None = None
    made: "dict[str, Tensor] | None" = None
    downloaded: bool = False


@dataclass(frozen=True)
class WeightsSource:
    """One value of weights.source.

    `needs` are the keys of `weights` that must be given with it, `reads` others that not every source reads.
    `get` takes the request and a folder for downloads.
    """

    name: str
    help: str
    needs: tuple[str, ...]
    get: Callable[[Request, Path], Origin]
    reads: tuple[str, ...] = ()
