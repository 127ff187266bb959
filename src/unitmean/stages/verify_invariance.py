"""The proof: the function is unchanged, and the means are what they should be."""

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

import torch
from torch import Tensor

from unitmean.core.algebra import discrepancies
from unitmean.core.analysis import analyse
from unitmean.core.invariance import Comparison
from unitmean.core.observe import OUTPUT
from unitmean.core.plan import Plan
from unitmean.core.probes import other_size, probes
from unitmean.disk import scales as tables
from unitmean.disk.atomic import write_json, write_text
from unitmean.disk.batches import batches
from unitmean.disk.index import Index, load_index
from unitmean.disk.labels import classes
from unitmean.disk.moments import read_parquet
from unitmean.disk.networks import Stored, read_network
from unitmean.disk.preprocess import Preprocessing
from unitmean.disk.progress import watched
from unitmean.disk.proof import (
    Pair,
    Tolerances,
    failures,
    layer_table,
    worst_by_layer,
)
from unitmean.disk.remeasure import HeldOut, again, held_out, mean_table
from unitmean.disk.verdict import details, metrics, refusal
from unitmean.stages.entry import Run, stage


@stage
def verify_invariance(run: Run) -> str:
    """Compare both networks in four ways: algebra, numerics, statistics, behaviour."""
    model, settings = dict(run.params.model), run.params.verify
    original = read_network(run.dep("weights.safetensors"), **model)
    rescaled = read_network(run.dep("normalised.safetensors"), **model)
    every = load_index(run.dep("images") / "index.parquet")
    index = every.head(run.params.dataset.subset)
    size = Preprocessing(**run.params.preprocess).output_size
    rescaling = rescaled.metadata["rescale"]
    plan = analyse(original.network.module, torch.zeros(1, 3, size, size), outputs=rescaling["outputs"])
    table, _ = read_parquet(run.dep("scales.parquet"))
    scales = tables.from_frame(original.network, plan, table)

    wrong = discrepancies(plan, scales, original.state, rescaled.state)
    pair = Pair(original, rescaled, plan, scales, model)
    comparisons = _compare(run, pair, original, index, size)
    shown = _batches(run, index, "measuring again")
    measured = again(rescaled.network, plan, shown, size)
    noise = 2 * comparisons["image"].deviations[OUTPUT].float32_error
    held = _held_out(run, original, rescaled, plan, every, len(index), size, noise)
    means = mean_table(table, measured, held.means)

    allowed = Tolerances(
        settings.max_float64_difference,
        settings.max_float32_ratio,
        settings.max_mean_error,
        settings.min_top1_agreement,
    )
    behaviour = comparisons["image"].behaviour
    if behaviour is not None and held.behaviour is not None:
        behaviour += held.behaviour
    failed = list(
        failures(wrong, comparisons, behaviour, means, original.network, allowed, rescaling["rounding"])
    )
    inputs = layer_table(comparisons, original.network)
    write_text(run.out("inputs.csv"), inputs.to_csv(index=False, float_format="%.6g"))
    write_text(run.out("layers.csv"), worst_by_layer(inputs).to_csv(index=False, float_format="%.6g"))
    write_text(run.out("means.csv"), means.to_csv(index=False, float_format="%.9g"))
    found = details(wrong, comparisons, behaviour, held, means, allowed, failed, len(index))
    write_json(run.out("proof.json"), found)
    write_json(run.out("invariance.json"), metrics(found))
    if failed:
        raise refusal(failed)
    return (
        f"output within {found['float64_difference']:.1e} in float64, "
        f"means within {found['max_mean_error']:.1e}"
    )


def _compare(run: Run, pair: Pair, original: Stored, index: Index, size: int) -> dict[str, Comparison]:
    """By kind of input: images and noise at the size of the statistics, the others where it is cheaper."""
    settings, apply = run.params.verify, original.network.input.apply
    compared = min(settings.images, len(index))
    generator = torch.Generator().manual_seed(settings.seed)
    preprocessing = Preprocessing(**run.params.preprocess)

    def images() -> Iterator[Tensor]:
        shown = batches(index.head(compared), preprocessing, 1)
        for x in watched(shown, compared, "comparing", "images"):
            yield apply(x)

    found = {"image": pair.compare(images(), size)}
    if settings.random:
        noise = torch.rand(settings.random, 3, size, size, generator=generator)
        found["random"] = pair.compare(apply(noise).split(1), size)
    other = other_size(original.network.module, size)
    noise = apply(torch.rand(1, 3, other, other, generator=generator))
    extra = probes(noise, settings.seed) | ({f"{other} pixels": noise} if other != size else {})
    return found | {kind: pair.compare([x], other) for kind, x in extra.items()}


def _batches(run: Run, index: Index, what: str) -> Iterator[Tensor]:
    size = run.params.collect.batch_size
    shown = batches(index, Preprocessing(**run.params.preprocess), size)
    return watched(shown, ceil(len(index) / size), what, "batches")


def _held_out(
    run: Run,
    original: Stored,
    rescaled: Stored,
    plan: Plan,
    every: Index,
    used: int,
    size: int,
    noise: float,
) -> HeldOut:
    held = replace(every, rows=every.rows[used : used + run.params.verify.heldout])

    def labelled() -> Iterator[tuple[Tensor, list[str | None]]]:
        at = 0
        for x in _batches(run, held, "measuring held-out images"):
            yield x, [row.label for row in held.rows[at : at + len(x)]]
            at += len(x)

    return held_out(
        original.network,
        rescaled.network,
        plan,
        labelled(),
        lambda count: classes(every, count),
        size,
        noise,
    )


if __name__ == "__main__":
    verify_invariance()
