"""Statistics of every rectifier's channels over images and positions, in one pass."""

import torch

import unitmean
from unitmean.config.project import find_root
from unitmean.core.analysis import analyse
from unitmean.core.moments import total
from unitmean.core.strict import require_whole
from unitmean.disk.index import index_hash, load_index
from unitmean.disk.moments import summary, to_frame, write_parquet
from unitmean.disk.networks import read_network
from unitmean.disk.preprocess import Preprocessing
from unitmean.disk.shards import Measurement, measure
from unitmean.disk.weights import sha256
from unitmean.stages.entry import Run, stage


@stage
def collect_statistics(run: Run) -> str:
    """Measure the moments of every rectifier's channels, shard by shard, and sum them up."""
    model, collect = run.params.model, run.params.collect
    weights = run.dep("weights.safetensors")
    network = read_network(weights, **model).network
    index = load_index(run.dep("images") / "index.parquet").head(run.params.dataset.subset)
    preprocessing = Preprocessing(**run.params.preprocess)
    size = preprocessing.output_size
    plan = analyse(network.module, torch.zeros(1, 3, size, size))
    if run.params.rescale.strict:  # here, because refusing after hours of measuring would be unkind
        require_whole(plan, "rescale.strict=false", network.layers)
    identity = {"weights": sha256(weights), "model": dict(model)}
    measurement = Measurement(network, plan.sites, preprocessing, collect.batch_size, identity)
    shards = list(measure(measurement, index, collect.shard_size, find_root() / ".partial" / "shards"))
    moments = {site: total([shard[site] for shard in shards]) for site in shards[0]}
    provenance = identity | {
        "images": len(index),
        "index": index_hash(index),
        "dataset": run.params.dataset.name,
        "preprocess": dict(run.params.preprocess),
        "input": network.input.to_dict(),
        "torch": torch.__version__,
        "unitmean": unitmean.__version__,
    }
    frames = (to_frame(shard).assign(shard=i) for i, shard in enumerate(shards))
    write_parquet(run.out("shards.parquet"), frames, provenance)
    write_parquet(run.out("statistics.parquet"), [summary(moments)], provenance)
    channels = sum(len(m.mean) for m in moments.values())
    return f"{channels:,} channels of {len(moments)} rectifiers over {len(index):,} images"


if __name__ == "__main__":
    collect_statistics()
