"""Normalised networks: every channel's mean activation is one, the function unchanged."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Name and module of what the package offers; imported when first asked for, since torch takes seconds.
_OFFERED = {"load": "unitmean.loading"}


def __getattr__(name: str) -> Any:
    if name not in _OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_OFFERED[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_OFFERED])
