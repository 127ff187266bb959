"""The proof: the function is unchanged, and the means are what they should be."""

from collections.abc import Iterator
from dataclasses import asdict
from math import ceil

import pandas as pd
import torch
from torch import Tensor

from unitmean.core.analysis import analyse
from unitmean.core.observe import OUTPUT
from unitmean.disk import scales as tables
from unitmean.disk.atomic import write_json, write_text
from unitmean.disk.batches import batches
from unitmean.disk.index import Index, load_index
from unitmean.disk.moments import read_parquet
from unitmean.disk.networks import read_network
from unitmean.disk.preprocess import Preprocessing
from unitmean.disk.progress import watched
from unitmean.disk.proof import (
    Tolerances,
    compare_networks,
    differing_tensors,
    failures,
    mean_error,
    mean_table,
)
from unitmean.errors import InvarianceError
from unitmean.networks.inputs import Input
from unitmean.stages.entry import Run, stage


@stage
def verify_invariance(run: Run) -> str:
    """Compare both networks in float64 and float32, and measure the means again."""
    model, settings = dict(run.params.model), run.params.verify
    original = read_network(run.dep("weights.safetensors"), **model)
    rescaled = read_network(run.dep("normalised.safetensors"), **model)
    index = load_index(run.dep("images") / "index.parquet").head(run.params.dataset.subset)
    preprocessing = Preprocessing(**run.params.preprocess)
    size = preprocessing.output_size
    example = torch.zeros(1, 3, size, size)
    # As many as were measured, where collect.target_standard_error was reached before the subset's end.
    index = index.head(rescaled.metadata["statistics"]["images"])
    rescaling = rescaled.metadata["rescale"]
    plan = analyse(original.network.module, example, outputs=rescaling["outputs"])
    table, _ = read_parquet(run.dep("scales.parquet"))
    scales = tables.from_frame(original.network, plan, table)

    differing = differing_tensors(original, rescaled, plan, scales)
    compared = min(settings.images, len(index))
    inputs = _inputs(
        index.head(compared), preprocessing, original.network.input, settings.random, settings.seed
    )
    inputs = watched(inputs, compared + settings.random, "comparing", "inputs")
    comparison = compare_networks(original, rescaled, plan, scales, model, inputs, example)
    batch_size = run.params.collect.batch_size
    shown = watched(
        batches(index, preprocessing, batch_size), ceil(len(index) / batch_size), "measuring again", "batches"
    )
    means = mean_table(rescaled.network, plan, table, shown, size)
    tolerances = Tolerances(
        settings.max_float64_difference,
        settings.max_float32_ratio,
        settings.max_mean_error,
        settings.min_top1_agreement,
    )
    layers = {site.name: original.network.layer(site.name) for site in plan.sites}
    failed = list(failures(comparison, layers, differing, means, tolerances, rescaling["rounding"]))

    deviations = pd.DataFrame(
        {"site": layers.get(place, place)} | asdict(deviation)
        for place, deviation in comparison.deviations.items()
    )
    write_text(run.out("layers.csv"), deviations.to_csv(index=False, float_format="%.6g"))
    write_text(run.out("means.csv"), means.to_csv(index=False, float_format="%.9g"))
    output = comparison.deviations[OUTPUT]
    write_json(
        run.out("invariance.json"),
        {
            "float64_difference": output.float64,
            "float32_difference": output.float32,
            "float32_error": output.float32_error,
            "float32_ratio": output.float32 / output.float32_error if output.float32_error else 0.0,
            "top1_agreement": comparison.top1_agreement,
            "bit_identical": comparison.bit_identical,
            "max_mean_error": mean_error(means),
            "differing_tensors": differing,
            "tolerances": asdict(tolerances),
            "images": len(index),
            "compared_images": compared,
            "compared_random": settings.random,
            "passed": not failed,
            "failures": failed,
        },
    )
    if failed:
        more = f"\n  and {len(failed) - 8} more" if len(failed) > 8 else ""
        raise InvarianceError("the rescaled network is not proved:\n  " + "\n  ".join(failed[:8]) + more)
    return f"output within {output.float64:.1e} in float64, means within {mean_error(means):.1e}"


def _inputs(
    index: Index, preprocessing: Preprocessing, network_input: Input, random: int, seed: int
) -> Iterator[Tensor]:
    """The images of the index, then uniform noise, one at a time."""
    for x in batches(index, preprocessing, 1):
        yield network_input.apply(x)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(random):
        size = preprocessing.output_size
        yield network_input.apply(torch.rand(1, 3, size, size, generator=generator))


if __name__ == "__main__":
    verify_invariance()
