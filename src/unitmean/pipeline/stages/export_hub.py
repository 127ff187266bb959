"""The proved weights as a folder for the Hugging Face hub."""

from unitmean.errors import DataError
from unitmean.layouts.networks import as_recorded, read_network
from unitmean.pipeline.disk.documents import read_json
from unitmean.pipeline.disk.folders import write_nothing, writing_folder
from unitmean.pipeline.exports.hub import require_hub, write_hub
from unitmean.pipeline.exports.proved import require_proved
from unitmean.pipeline.stages.entry import Run, stage


@stage
def export_hub(run: Run) -> str:
    """Write the folder that `hub.enabled` asks for, ready to be uploaded; nothing is uploaded here."""
    out = run.out("hub")
    if not run.params.hub.enabled:
        words = "not asked for; +exports=hub makes a folder for the Hugging Face hub"
        write_nothing(out, words)
        return words
    require_hub()
    weights, proof = run.dep("normalised.safetensors"), run.dep("proof.json")
    settings = {"model": as_recorded(run.params.model), "preprocess": run.params.preprocess}
    digest = require_proved(weights, proof, settings)
    if digest not in run.dep("report.html").read_text(encoding="utf-8"):
        raise DataError(
            "the report in a folder for the hub must be of its weights; found one of others: run the stage "
            "report again, or `dvc repro`"
        )
    beside = {name: run.dep(name) for name in ("report.html", "means.png")}
    if read_json(run.dep("transfer.json")):
        beside["preview.png"] = run.dep("transfer") / "normalised.png"
    stored = read_network(weights, **run.params.model)
    rescale = read_json(run.dep("rescale.json"))
    with writing_folder(out) as folder:
        write_hub(folder, weights, digest, stored, run.params.hub, rescale, read_json(proof), beside)
    return "a folder that is ready to be uploaded"


if __name__ == "__main__":
    export_hub()
