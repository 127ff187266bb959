"""The proof: the function is unchanged, and the means are what they should be."""

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

import torch
from torch import Tensor

from unitmean.disk.atomic import write_json, write_text
from unitmean.disk.progress import watched
from unitmean.graph.analysis import analyse
from unitmean.layouts.networks import read_network
from unitmean.pipeline.disk.frames import read_parquet
from unitmean.pipeline.index.batches import batches
from unitmean.pipeline.index.index import Index, load_index
from unitmean.pipeline.index.labels import classes
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.proof.compared import Tolerances, layer_table, worst_by_layer
from unitmean.pipeline.proof.prove import Shown, prove
from unitmean.pipeline.proof.verdict import details, metrics, refusal
from unitmean.pipeline.stages.entry import Run, stage


@stage
def verify_invariance(run: Run) -> str:
    """Compare both networks in four ways: algebra, numerics, statistics, behaviour."""
    model, settings = dict(run.params.model), run.params.verify
    original = read_network(run.dep("weights.safetensors"), **model)
    rescaled = read_network(run.dep("normalised.safetensors"), **model)
    size = Preprocessing(**run.params.preprocess).output_size
    outputs = rescaled.metadata["rescale"]["outputs"]
    plan = analyse(original.network.module, torch.zeros(1, 3, size, size), outputs=outputs)
    table, _ = read_parquet(run.dep("factors.parquet"), ("mean", "factor"), ("site", "status"))
    allowed = Tolerances(
        settings.max_float64_difference,
        settings.max_float32_ratio,
        settings.max_mean_error,
        settings.min_top1_agreement,
    )
    shown = _shown(run, rescaled.metadata["statistics"]["images"])
    proof = prove(original, rescaled, plan, table, shown, size, settings.seed, allowed)

    inputs = layer_table(proof.comparisons, original.network)
    write_text(run.out("inputs.csv"), inputs.to_csv(index=False, float_format="%.6g"))
    write_text(run.out("layers.csv"), worst_by_layer(inputs).to_csv(index=False, float_format="%.6g"))
    write_text(run.out("means.csv"), proof.means.to_csv(index=False, float_format="%.9g"))
    found = details(proof, allowed)
    write_json(run.out("proof.json"), found)
    write_json(run.out("invariance.json"), metrics(found))
    if proof.failures:
        raise refusal(proof.failures)
    said = (
        f"output within {found['float64_difference']:.1e} in float64, "
        f"means within {found['max_mean_error']:.1e}"
    )
    if not found["labelled"]:
        return said
    accuracy = f"accuracy {found['accuracy_before']:.2%} before, {found['accuracy_after']:.2%} after"
    return f"{said}, {accuracy} over {found['labelled']} images"


def _shown(run: Run, measured: int) -> Shown:
    """The images of the index: some compared one by one, the `measured` again, those behind them held out."""
    settings, preprocessing = run.params.verify, Preprocessing(**run.params.preprocess)
    every = load_index(run.dep("images") / "index.parquet")
    # Fewer than dataset.subset where collect.target_standard_error was reached before.
    index = every.head(run.params.dataset.subset).head(measured)
    compared = min(settings.images, len(index))
    held = replace(every, rows=every.rows[len(index) : len(index) + settings.heldout])
    size = run.params.collect.batch_size

    def batched(images: Index, what: str) -> Iterator[Tensor]:
        return watched(batches(images, preprocessing, size), ceil(len(images) / size), what, "batches")

    def labelled() -> Iterator[tuple[Tensor, list[str | None]]]:
        at = 0
        for x in batched(held, "measuring held-out images"):
            yield x, [row.label for row in held.rows[at : at + len(x)]]
            at += len(x)

    return Shown(
        images=watched(batches(index.head(compared), preprocessing, 1), compared, "comparing", "images"),
        random=settings.random,
        measured=batched(index, "measuring again"),
        held_out=labelled(),
        numbering=lambda count: classes(every, count),
    )


if __name__ == "__main__":
    verify_invariance()
