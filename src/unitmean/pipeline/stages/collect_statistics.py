"""Statistics of every rectifier's channels over images and positions, in one pass."""

from typing import Any

import torch

import unitmean
from unitmean.device import choose_device, choose_precision
from unitmean.disk.atomic import write_text
from unitmean.disk.digest import sha256
from unitmean.graph.analysis import analyse
from unitmean.graph.strict import require_rectifier, require_whole
from unitmean.layouts.networks import read_network
from unitmean.pipeline.config.project import find_root
from unitmean.pipeline.disk.frames import write_parquet
from unitmean.pipeline.index.index import index_hash, load_index
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.measure.cluster import by_ray
from unitmean.pipeline.measure.collecting import Target, collect, control, error_report, ratios
from unitmean.pipeline.measure.measurement import Measurement
from unitmean.pipeline.measure.shards import Engine, local, measure
from unitmean.pipeline.measure.tables import summary, to_frame
from unitmean.pipeline.stages.entry import Run, stage

ENGINES: dict[str, Engine] = {"local": local, "ray": by_ray}


@stage
def collect_statistics(run: Run) -> str:
    """Measure the moments of every rectifier's channels, shard by shard, and sum them up."""
    model, settings = run.params.model, run.params.collect
    weights = run.dep("weights.safetensors")
    network = read_network(weights, **model).network
    index = load_index(run.dep("images") / "index.parquet").head(run.params.dataset.subset)
    preprocessing = Preprocessing(**run.params.preprocess)
    size = preprocessing.output_size
    plan = analyse(network.module, torch.zeros(1, 3, size, size))
    require_rectifier(plan)
    if run.params.rescale.strict:  # here, because refusing after hours of measuring would be unkind
        require_whole(plan, "rescale.strict=false", network.layers)
    identity = {"weights": sha256(weights), "model": dict(model)}
    device = choose_device(run.params.runtime.device)
    precision = choose_precision(settings.precision, device)
    measurement = Measurement(
        network,
        plan.sites,
        preprocessing,
        settings.batch_size,
        identity,
        precision,
        device,
        settings.compile,
        settings.histograms,
    )
    partial = find_root() / ".partial" / "shards"
    target = Target(settings.target_standard_error, settings.target_share)
    engine = ENGINES[settings.engine]
    found = collect(measurement, index, settings.shard_size, partial, target, engine)
    sums, checked = found.sums, dict[str, Any]()
    if precision != "float32":
        halves = control(measurement, index.head(min(settings.control_images, len(index))), partial, engine)
        checked = dict(error_report(halves)) | {"corrected": settings.correct}
        if settings.correct:
            factors = ratios(halves)
            sums = {site: moments.scaled(factors[site]) for site, moments in sums.items()}
    provenance = identity | {
        "images": len(found.index),
        "index": index_hash(found.index),
        "dataset": run.params.dataset.name,
        "preprocess": dict(run.params.preprocess),
        "input": network.input.to_dict(),
        "precision": precision,
        "control": checked or None,
        "torch": torch.__version__,
        "unitmean": unitmean.__version__,
    }
    again = measure(measurement, found.shards, partial)
    frames = (
        to_frame(shard).assign(shard=i).drop(columns="histogram", errors="ignore")
        for i, shard in enumerate(again)
    )
    write_parquet(run.out("shards.parquet"), frames, provenance)
    write_parquet(run.out("statistics.parquet"), [summary(sums)], provenance)
    write_text(run.out("convergence.csv"), found.table().to_csv(index=False, float_format="%.6g"))
    channels = sum(len(m.mean) for m in sums.values())
    known = found.convergence[-1]
    return (
        f"{channels:,} channels of {len(sums)} rectifiers over {len(found.index):,} images in {precision}, "
        f"standard error {known.median:.2%} (median)"
    )


if __name__ == "__main__":
    collect_statistics()
