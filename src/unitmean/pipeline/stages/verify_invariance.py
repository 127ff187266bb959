"""The proof: the function is unchanged, and the means are what they should be."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from unitmean.device import choose_device
from unitmean.disk.atomic import write_json, write_text
from unitmean.disk.digest import sha256
from unitmean.disk.progress import watched
from unitmean.graph.analysis import analyse
from unitmean.graph.plan import Plan
from unitmean.layouts.networks import Stored, as_recorded, read_network
from unitmean.pipeline.config.project import find_root
from unitmean.pipeline.disk.documents import read_csv
from unitmean.pipeline.disk.frames import read_parquet, read_provenance
from unitmean.pipeline.index.batches import batches, pixel_batches
from unitmean.pipeline.index.index import Index, index_hash, load_index
from unitmean.pipeline.index.labels import classes
from unitmean.pipeline.index.pixels import choose_decoder
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.measure.automatic import batch_size
from unitmean.pipeline.measure.measurement import Measurement
from unitmean.pipeline.measure.shards import shards, whole
from unitmean.pipeline.proof.compared import layer_table, worst_by_layer
from unitmean.pipeline.proof.founded import Tables, first_shards, of_all
from unitmean.pipeline.proof.prove import Shown, prove
from unitmean.pipeline.proof.recorded import misrecorded
from unitmean.pipeline.proof.tolerances import Tolerances
from unitmean.pipeline.proof.verdict import details, metrics, refusal
from unitmean.pipeline.rescale.choosing import Rules
from unitmean.pipeline.rescale.factors import of_output
from unitmean.pipeline.rescale.statistics import COLUMNS
from unitmean.pipeline.stages.entry import Run, stage


@stage
def verify_invariance(run: Run) -> str:
    """Compare both networks in four ways: algebra, numerics, statistics, behaviour."""
    run.clear()
    model, settings = dict(run.params.model), run.params.verify
    original = read_network(run.dep("weights.safetensors"), **model)
    rescaled = read_network(run.dep("normalised.safetensors"), **model)
    size = Preprocessing(**run.params.preprocess).output_size
    outputs = original.network.free_outputs(run.params.rescale.outputs)
    plan = analyse(original.network.module, torch.zeros(1, 3, size, size), outputs=outputs)
    tables = _tables(run)
    allowed = Tolerances(
        settings.max_float64_difference,
        settings.max_float32_ratio,
        settings.max_mean_ratio,
        settings.max_mean_error,
        settings.min_top1_agreement,
    )
    measurement = _measurement(run, rescaled, plan)
    before = replace(
        measurement,
        network=original.network,
        identity={"weights": sha256(run.dep("weights.safetensors")), "model": as_recorded(model)},
    )
    shown = _shown(run, tables.images, before, measurement)
    proof = prove(original, rescaled, plan, tables, shown, measurement, settings.seed, allowed)
    proof = replace(
        proof, failures=[*_misrecorded(run, original, rescaled, tables, outputs), *proof.failures]
    )

    inputs = layer_table(proof.comparisons, original.network)
    write_text(run.out("inputs.csv"), inputs.to_csv(index=False, float_format="%.6g"))
    write_text(run.out("layers.csv"), worst_by_layer(inputs).to_csv(index=False, float_format="%.6g"))
    write_text(run.out("means.csv"), proof.means.to_csv(index=False, float_format="%.9g"))
    of = {"sha256": run.dep("normalised.safetensors"), "factors": run.dep("factors.parquet")}
    found = details(proof, allowed) | {key: sha256(path) for key, path in of.items()}
    write_json(run.out("proof.json"), found)
    write_json(run.out("invariance.json"), metrics(found))
    if proof.failures:
        # An earlier run's exports would lie beside weights that are not proved, and be taken for theirs.
        run.withdraw("exports")
        run.withdraw("hub")
        raise refusal(proof.failures)
    said = (
        f"output within {found['float64_difference']:.1e} in float64, "
        f"means within {found['max_mean_error']:.1e} on {found['images']:,} images measured again"
    )
    if not found["labelled"]:
        return said
    accuracy = f"accuracy {found['accuracy_before']:.2%} before, {found['accuracy_after']:.2%} after"
    return f"{said}, {accuracy} over {found['labelled']} images"


def _tables(run: Run) -> Tables:
    factors, _ = read_parquet(run.dep("factors.parquet"), ("mean", "factor"), ("site", "status"))
    statistics, _ = read_parquet(run.dep("statistics.parquet"), (*COLUMNS, "correction", "precision_error"))
    return Tables(factors, statistics, of_all(run.dep("shards.parquet")), Rules.of(run.params.rescale))


def _misrecorded(run: Run, original: Stored, rescaled: Stored, tables: Tables, outputs: str) -> Iterator[str]:
    """What the rescaled file and the tables say wrongly of what they were made from, and how."""
    index = load_index(run.dep("images") / "index.parquet").head(tables.images)
    statistics = {
        "weights": sha256(run.dep("weights.safetensors")),
        "model": as_recorded(run.params.model),
        "images": tables.images,
        "index": index_hash(index),
        "dataset": run.params.dataset.name,
        "skipped": len(read_csv(run.dep("images") / "skipped.csv")),
        "preprocess": dict(run.params.preprocess),
        "input": original.network.input.to_dict(),
    }
    rescale = tables.rules.record(outputs) | {"output_factors": of_output(tables.factors)}
    right = original.metadata | {"statistics": statistics, "rescale": rescale}
    yield from misrecorded("normalised.safetensors", rescaled.metadata, right)
    yield from misrecorded("factors.parquet", read_provenance(run.dep("factors.parquet")), rescaled.metadata)
    for name in ("statistics.parquet", "shards.parquet"):
        recorded = rescaled.metadata.get("statistics", {})
        yield from misrecorded(name, read_provenance(run.dep(name)), recorded)


def _measurement(run: Run, rescaled: Stored, plan: Plan) -> Measurement:
    """The rescaled network's measurement, in float32 whatever the statistics were collected in."""
    device = choose_device(run.params.runtime.device)
    return Measurement(
        rescaled.network,
        plan.sites,
        Preprocessing(**run.params.preprocess),
        batch_size(run.params.collect.batch_size, device),
        {"weights": sha256(run.dep("normalised.safetensors")), "model": as_recorded(run.params.model)},
        device=device,
        decoder=choose_decoder(run.params.collect.decoder, device),
    )


def _shown(run: Run, images: int, before: Measurement, measurement: Measurement) -> Shown:
    """Images to compare one by one, the first shards measured again, and held-out images.

    `images`: how many the statistics are of.
    """
    settings, preprocessing = run.params.verify, measurement.preprocessing
    every = load_index(run.dep("images") / "index.parquet")
    # Fewer than dataset.subset where collect.target_standard_error was reached before.
    index = every.head(run.params.dataset.subset).head(images)
    recorded = read_provenance(run.dep("shards.parquet"))
    collected = first_shards(run.dep("shards.parquet"), settings.measured)
    measured = index.head(next(iter(collected.values())).images)
    parts = shards(measured, recorded["shard_size"])
    partial = find_root() / ".partial" / "shards"
    again = whole(measurement, parts, partial, what="measuring again")
    first = collected
    if recorded["precision"] != "float32":  # a lesser precision's errors would hide those of the weights
        first = whole(before, parts, partial, what="measuring the original in float32")
    compared = index.head(min(settings.images, len(index)))
    shown = watched(batches(compared, preprocessing, 1), len(compared), "comparing", "images")
    return Shown(
        images=shown,
        random=settings.random,
        collected=collected,
        first=first,
        again=again,
        held_out=_labelled(
            replace(every, rows=every.rows[len(index) : len(index) + settings.heldout]), measurement
        ),
        numbering=lambda count: classes(every, count),
    )


def _labelled(held: Index, measurement: Measurement) -> Iterator[tuple[Tensor, list[str | None]]]:
    size = measurement.batch_size
    found = pixel_batches(
        held, measurement.preprocessing, size, device=measurement.device, decoder=measurement.decoder
    )
    at = 0
    for pixels in watched(found, -(-len(held) // size), "measuring held-out images", "batches"):
        yield pixels, [row.label for row in held.rows[at : at + len(pixels)]]
        at += len(pixels)


if __name__ == "__main__":
    verify_invariance()
