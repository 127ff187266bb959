"""Statistics of every rectifier's channels over images and positions, in one pass."""

from dataclasses import replace
from itertools import count
from typing import Any

import torch

import unitmean
from unitmean.device import choose_device, choose_precision
from unitmean.disk.atomic import write_text
from unitmean.disk.digest import sha256
from unitmean.errors import NetworkError
from unitmean.graph.analysis import analyse
from unitmean.graph.observe import OUTPUT
from unitmean.graph.strict import only_outputs, require_rectifier, require_whole
from unitmean.layouts.networks import as_recorded, read_network
from unitmean.pipeline.config.project import find_root
from unitmean.pipeline.disk.documents import read_csv
from unitmean.pipeline.disk.frames import write_parquet, writing_table
from unitmean.pipeline.index.index import Index, index_hash, load_index
from unitmean.pipeline.index.pixels import choose_decoder
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.measure.automatic import batch_size, compiles, shard_size
from unitmean.pipeline.measure.cluster import by_ray
from unitmean.pipeline.measure.collecting import Checked, Collection, check, collect
from unitmean.pipeline.measure.measurement import Measurement, Sums
from unitmean.pipeline.measure.range import float16_or_tf32, in_range
from unitmean.pipeline.measure.shards import Engine, Target, local
from unitmean.pipeline.measure.tables import summary, to_frame
from unitmean.pipeline.stages.entry import Run, stage

ENGINES: dict[str, Engine] = {"local": local, "ray": by_ray}


@stage
def collect_statistics(run: Run) -> str:
    """Measure the moments of every rectifier's channels, shard by shard, and sum them up."""
    settings, partial = run.params.collect, find_root() / ".partial" / "shards"
    index = load_index(run.dep("images") / "index.parquet").head(run.params.dataset.subset)
    precise, fast = _measurements(run, index)
    engine = ENGINES[settings.engine]
    size = shard_size(settings.shard_size, fast.batch_size, fast.device)
    target = Target(settings.target_standard_error, settings.target_share)
    with writing_table(run.out("shards.parquet")) as table:
        numbers = count()

        def keep(sums: Sums) -> None:
            frame = to_frame(sums).assign(shard=next(numbers))
            table.write(frame.drop(columns="histogram", errors="ignore"))

        found = collect(fast, index, size, partial, target, engine, keep)
        checked = Checked()
        if fast.precision != "float32":
            images = index.head(min(settings.control_images, len(index)))
            checked = check(precise, fast, images, partial, engine, _corrects(run, fast))
        table.provenance = provenance = _provenance(run, fast, found, size, checked)
    sums = checked.mended(found.sums)
    statistics = summary(sums, checked.correction, checked.errors)
    write_parquet(run.out("statistics.parquet"), [statistics], provenance)
    write_text(run.out("convergence.csv"), found.table().to_csv(index=False, float_format="%.6g"))
    return (
        f"{len(statistics):,} channels of {len(sums)} rectifiers over {len(found.index):,} images in "
        f"{fast.precision}{', compiled,' if fast.compile else ''} on {fast.device}, "
        f"standard error {found.convergence[-1].median:.2%} (median)"
    )


def _measurements(run: Run, index: Index) -> tuple[Measurement, Measurement]:
    """The measurement in float32, and the one in the precision that is asked for."""
    model, settings = run.params.model, run.params.collect
    weights = run.dep("weights.safetensors")
    network = read_network(weights, **model).network
    preprocessing = Preprocessing(**run.params.preprocess)
    size = preprocessing.output_size
    try:
        plan = analyse(network.module, torch.zeros(1, 3, size, size))
    except NetworkError as error:
        raise NetworkError(
            f"{error}. Here batches are RGB pictures, as large as preprocess.pixels or preprocess.crop says"
        ) from error
    require_rectifier(plan)
    if plan.output_names != (OUTPUT,):  # before hours of measuring, after which the proof would refuse it
        raise NetworkError(
            f"a network must return one tensor for the pipeline to prove it; {network.name} returns "
            f"{list(plan.output_names)!r}: let model.code wrap it in a module that returns one of them"
        )
    if run.params.rescale.strict:  # before hours of measuring
        require_whole(plan, "rescale.strict=false", network.layers)
        if not network.truncated and (words := only_outputs(plan)):
            raise NetworkError(f"some rectifier's channels must be free; {words}")
    identity = {"weights": sha256(weights), "model": as_recorded(model)}
    device = choose_device(run.params.runtime.device)
    # Histograms of a network that was scaled into float16's range can't be scaled back.
    asked = "tf32" if settings.precision == "auto" and settings.histograms else settings.precision
    precision = choose_precision(asked if device == "cuda" else settings.precision, device)
    batch = batch_size(settings.batch_size, device)
    precise = Measurement(
        network,
        plan.sites,
        preprocessing,
        batch,
        identity,
        device=device,
        histograms=settings.histograms,
        decoder=choose_decoder(settings.decoder, device),
    )
    fast = replace(precise, precision=precision)
    if precision == "float16":
        fast = (float16_or_tf32 if settings.precision == "auto" else in_range)(fast, index)
    return precise, replace(fast, compile=compiles(settings.compile, device, len(index)))


def _corrects(run: Run, fast: Measurement) -> bool:
    """Whether means are corrected by the control images; null: on a GPU."""
    asked = run.params.collect.correct
    corrects = fast.device == "cuda" and not fast.histograms if asked is None else asked
    return bool(corrects)


def _provenance(
    run: Run, measurement: Measurement, found: Collection, shard: int, checked: Checked
) -> dict[str, Any]:
    return dict(measurement.identity) | {
        "images": len(found.index),
        "index": index_hash(found.index),
        "dataset": run.params.dataset.name,
        "skipped": len(read_csv(run.dep("images") / "skipped.csv")),
        "preprocess": dict(run.params.preprocess),
        "input": measurement.network.input.to_dict(),
        "precision": measurement.precision,
        "device": measurement.device,
        "decoder": measurement.decoder,
        "batch_size": measurement.batch_size,
        "compile": measurement.compile,
        "shard_size": shard,
        "control": checked.report,
        "torch": torch.__version__,
        "unitmean": unitmean.__version__,
    }


if __name__ == "__main__":
    collect_statistics()
