"""Weights of the model from their source, in one layout, with their provenance."""

from unitmean.disk.atomic import write_json
from unitmean.layouts.files import save_weights
from unitmean.networks.own import spelt
from unitmean.pipeline.config.project import find_root
from unitmean.pipeline.sources.fetch import fetch
from unitmean.pipeline.sources.weights.source import Request
from unitmean.pipeline.stages.entry import Run, stage


@stage
def fetch_weights(run: Run) -> str:
    """Download, read or make weights, check that they fit the model, write them in one layout."""
    weights = run.params.weights
    request = Request(
        model=spelt(run.params.model.name, run.params.model.code),
        source=weights.source,
        seed=weights.seed,
        spread=weights.spread,
        path=weights.path,
        url=weights.url,
        sha256=weights.sha256,
        input=weights.input,
    )
    fetched = fetch(request, find_root() / ".partial" / "downloads")
    save_weights(run.out("weights.safetensors"), fetched.state_dict, fetched.metadata)
    write_json(run.out("weights.json"), fetched.metadata)
    if fetched.downloaded is not None:
        fetched.downloaded.unlink()
    count = sum(tensor.numel() for tensor in fetched.state_dict.values())
    said = f"{run.params.model.name} from {request.source}: {count:,} numbers"
    return "; ".join([said, *fetched.metadata["notes"]])


if __name__ == "__main__":
    fetch_weights()
