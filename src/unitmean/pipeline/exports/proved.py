"""Refuses to export weights without a passed proof."""

from pathlib import Path

from unitmean.disk.digest import sha256
from unitmean.errors import InvarianceError
from unitmean.pipeline.disk.documents import read_json


def require_proved(weights: Path, proof: Path) -> str:
    """The sha256 of the weights; InvarianceError unless `proof`, a proof.json, is of these and passed."""
    found, digest = read_json(proof), sha256(weights)
    if not found["passed"] or found["sha256"] != digest:
        why = "a proof of another file" if found["passed"] else "a proof that failed"
        raise InvarianceError(
            f"only weights that are proved may be exported; found {why} of {str(weights)!r}: "
            "run `dvc repro verify_invariance` first"
        )
    return digest
