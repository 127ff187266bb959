"""Proved weights for other programs."""

from unitmean.layouts.networks import as_recorded, read_network
from unitmean.layouts.writing import chosen
from unitmean.pipeline.disk.documents import read_json
from unitmean.pipeline.exports.proved import require_proved
from unitmean.pipeline.exports.write import write_exports
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.stages.entry import Run, stage


@stage
def export_weights(run: Run) -> str:
    """Write the layouts that `rescale.exports` asks for, and the card, of a network that is proved."""
    weights = run.dep("normalised.safetensors")
    settings = {"model": as_recorded(run.params.model), "preprocess": run.params.preprocess}
    digest = require_proved(weights, run.dep("proof.json"), settings)
    stored = read_network(weights, **run.params.model)
    layouts = chosen(run.params.rescale.exports, stored.network)
    size = Preprocessing(**run.params.preprocess).output_size
    write_exports(run.out("exports"), layouts, stored, digest, size, read_json(run.dep("rescale.json")))
    return f"{', '.join(layout.name for layout in layouts) or 'no other layout'}, and the card"


if __name__ == "__main__":
    export_weights()
