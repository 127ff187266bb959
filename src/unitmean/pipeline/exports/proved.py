"""Refuses to export weights without a passed proof, or under other settings than the proof's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unitmean.disk.digest import sha256
from unitmean.errors import InvarianceError
from unitmean.layouts.files import read_record
from unitmean.pipeline.config.keys import as_typed
from unitmean.pipeline.disk.documents import read_json


def require_proved(weights: Path, proof: Path, params: Mapping[str, Mapping[str, Any]]) -> str:
    """The sha256 of the weights; InvarianceError unless `proof`, a proof.json, is of these and passed.

    `params` are the sections of the settings, by name, that the file's metadata record and that must be the
    same: what is written would describe another network than the one that is proved.
    """
    found, digest = read_json(proof), sha256(weights)
    if not found["passed"] or found["sha256"] != digest:
        why = "a proof of another file" if found["passed"] else "a proof that failed"
        raise InvarianceError(
            f"only weights that are proved may be exported; found {why} of {str(weights)!r}: "
            "run `dvc repro verify_invariance` first"
        )
    recorded = read_record(weights) or {}
    statistics = recorded.get("statistics", {})
    for section, values in params.items():
        of_file = statistics.get(section, {})
        for key, value in values.items():
            if of_file.get(key) != value:
                proved = as_typed(of_file.get(key))
                raise InvarianceError(
                    "weights may be exported only under the settings that they are proved with, "
                    f"{section}.{key}={proved}; found {section}.{key}={as_typed(value)}: give this stage the "
                    "same overrides as the run, or run `dvc repro`"
                )
    return digest
