"""Whether a weights file is proved, by the proof.json that the pipeline leaves beside it."""

import json
from pathlib import Path

from unitmean.disk.digest import sha256

NAME = "proof.json"
NOT_PROVED = (
    "{path} must be proved to compute what the original does; found a proof of it that failed, "
    "{name} beside it: do what `unitmean repro` says, and make the file again"
)


def proved(weights: Path) -> bool | None:
    """Whether the proof beside the file passed; None where none lies there, or one of another file."""
    try:
        found = json.loads((weights.parent / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("sha256") != sha256(weights):
        return None
    return found.get("passed") is True


def unproved(weights: Path) -> str:
    """What must be said of a file whose proof failed; "" of any other."""
    return NOT_PROVED.format(path=weights, name=NAME) if proved(weights) is False else ""
