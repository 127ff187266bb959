"""Whether a weights file is proved, by the proof.json that the pipeline leaves beside it."""

import json
from pathlib import Path
from typing import Any

from unitmean.disk.digest import sha256

NAME = "proof.json"
OF = "normalised.safetensors"  # the file that the proof beside it is of
NOT_PROVED = (
    "a proof of it that failed, {name} beside it: do what `unitmean repro` says, and make the file again"
)
CHANGED = (
    "other bytes than those that were proved, by {name} beside it: the file changed since, run `unitmean "
    "repro`, or name it otherwise"
)


def proved(weights: Path) -> bool | None:
    """Whether the proof beside the file passed; None where none lies there, or one of another file."""
    found = _proof(weights)
    return found.get("passed") is True if found.get("sha256") == sha256(weights) else None


def unproved(weights: Path) -> str:
    """What must be said of a file whose proof failed, or that changed since; "" of any other."""
    found = _proof(weights)
    if "sha256" not in found:
        return ""
    if found["sha256"] == sha256(weights):
        wrong = "" if found.get("passed") is True else NOT_PROVED
    else:
        wrong = CHANGED if weights.name == OF else ""
    prefix = f"{weights} must be proved to compute what the original does; found "
    return prefix + wrong.format(name=NAME) if wrong else ""


def _proof(weights: Path) -> dict[str, Any]:
    """What proof.json beside the file holds; empty where there is none."""
    try:
        found = json.loads((weights.parent / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
