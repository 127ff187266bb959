"""Which network a file holds: what it says itself, and what the user says, must agree."""

import warnings
from collections.abc import Mapping
from typing import Any

from unitmean.errors import ConfigError, WeightsError
from unitmean.networks.own import SPELLING, code_of, own


def agreed_model(weights: str, record: Mapping[str, Any], asked: str | None) -> str:
    """The architecture that the record of a file of this package names, in full.

    asked: what the user says, which must be given where code makes the network: a file alone never runs code.
    Warns where that code isn't the one that made it. Raises WeightsError where the record names no network,
    ConfigError where another is asked for.
    """
    name = record.get("model")
    if not isinstance(name, str):
        raise WeightsError(
            f"{weights} must say which model it holds; found {sorted(record)!r}: run the pipeline again"
        )
    code = record.get("code")
    if code is None and own(name) is None:
        require_same_model(weights, name, asked)
        return name
    found = own(asked or "")
    if asked is None or found is None or found[1] != name:
        file = code.get("file") if isinstance(code, dict) else None
        raise ConfigError(
            f"the model of {weights} must be given as {SPELLING}, since code makes it, which a file alone "
            f"never runs; found {asked!r}: give {file or 'FILE.py'}:{name}, with the path to that file"
        )
    if code_of(asked) != code:
        warnings.warn(
            f"{found[0]} isn't the code that {weights} was made with: its network may compute something else",
            stacklevel=3,
        )
    return asked


def require_same_model(weights: str, name: str, asked: str | None) -> None:
    """ConfigError where another network is asked for than `name`, which the weights say they are of."""
    if asked is not None and asked != name:
        raise ConfigError(
            f"model must be {name} or left out, since {weights} says which network it is of; found "
            f"{asked!r}: leave it out, or give other weights"
        )
