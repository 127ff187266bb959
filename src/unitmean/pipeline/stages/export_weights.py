"""Proved weights for other programs."""

from unitmean.disk.digest import sha256
from unitmean.errors import InvarianceError
from unitmean.layouts.networks import read_network
from unitmean.layouts.writing import chosen
from unitmean.pipeline.disk.documents import read_json
from unitmean.pipeline.exports.write import write_exports
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.stages.entry import Run, stage


@stage
def export_weights(run: Run) -> str:
    """Write the layouts that `rescale.exports` asks for, and the card, of a network that is proved."""
    weights, proof = run.dep("normalised.safetensors"), read_json(run.dep("proof.json"))
    digest = sha256(weights)
    if not proof["passed"] or proof["sha256"] != digest:
        why = "a proof of another file" if proof["passed"] else "a proof that failed"
        raise InvarianceError(
            f"only weights that are proved may be exported; found {why} of {str(weights)!r}: "
            "run `dvc repro verify_invariance` first"
        )
    stored = read_network(weights, **run.params.model)
    layouts = chosen(run.params.rescale.exports, stored.network)
    size = Preprocessing(**run.params.preprocess).output_size
    write_exports(run.out("exports"), layouts, stored, digest, size, read_json(run.dep("rescale.json")))
    return f"{', '.join(layout.name for layout in layouts) or 'no other layout'}, and the card"


if __name__ == "__main__":
    export_weights()
