"""Normalised networks: every channel's mean activation is one, the function unchanged."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Looked up when asked for, so that light programs don't import torch.
_PUBLIC = {
    "analyse": "unitmean.graph.analysis",
    "factors": "unitmean.api",
    "load": "unitmean.loading",
    "measure": "unitmean.api",
    "normalise": "unitmean.api",
    "stylise": "unitmean.stylising",
    "verify": "unitmean.api",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
