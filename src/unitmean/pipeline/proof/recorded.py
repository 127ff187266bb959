"""Whether a file says rightly what it was made from, and how."""

from collections.abc import Iterator, Mapping
from typing import Any

SHOWN = 4  # entries of a list that a sentence shows


def misrecorded(
    file: str, found: Mapping[str, Any], expected: Mapping[str, Any], above: str = ""
) -> Iterator[str]:
    """A sentence for each entry of `expected` that the metadata `found` of `file` don't hold.

    Both are nested dicts as JSON holds them; entries of `found` alone are not compared.
    """
    for key, value in expected.items():
        name, there = f"{above}{key}", found.get(key)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            yield from misrecorded(file, there, value, f"{name}.")
        elif key not in found or there != value:
            what = _shown(there) if key in found else "no such entry"
            yield f"record: {name} in the metadata of {file} must be {_shown(value)}; found {what}"


def _shown(value: Any) -> str:
    """As Python writes it; of a long list the beginning and the length."""
    if isinstance(value, list) and len(value) > SHOWN:
        return f"[{', '.join(map(repr, value[:SHOWN]))}, …] of {len(value)}"
    return repr(value)
