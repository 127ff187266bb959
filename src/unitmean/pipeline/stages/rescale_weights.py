"""Weights of the same function whose channels have mean activation one."""

import math

import torch

import unitmean
from unitmean.disk.atomic import write_json
from unitmean.graph.analysis import analyse
from unitmean.layouts.files import save_weights
from unitmean.layouts.networks import read_network
from unitmean.pipeline.disk.frames import read_parquet, write_parquet
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.rescale.choosing import Rules, choose_factors
from unitmean.pipeline.rescale.factors import of_output
from unitmean.pipeline.rescale.statistics import COLUMNS, require_alive
from unitmean.pipeline.stages.entry import Run, stage


@stage
def rescale_weights(run: Run) -> str:
    """Choose the factor of every free channel from the means, and rescale the weights by them."""
    settings = run.params.rescale
    rules = Rules.of(settings)
    stored = read_network(run.dep("weights.safetensors"), **run.params.model)
    network = stored.network
    outputs = network.free_outputs(settings.outputs)
    size = Preprocessing(**run.params.preprocess).output_size
    plan = analyse(network.module, torch.zeros(1, 3, size, size), outputs=outputs)
    table, provenance = read_parquet(run.dep("statistics.parquet"), COLUMNS)
    chosen = choose_factors(network, plan, table, rules)
    require_alive(network, chosen.live, chosen.target, settings.max_dead_fraction, rules.statistic)
    state, frame = plan.rescale(chosen.factors, stored.state), chosen.table
    counts = frame["status"].value_counts()
    # Modules that the traced graph doesn't read, such as auxiliary heads at a size that they don't take.
    unreached = sorted({name.partition(".")[0] for name in plan.unreached})
    rescaling = rules.record(outputs) | {
        "output_factors": of_output(frame),
        "unreached": unreached,
        "unitmean": unitmean.__version__,
    }
    metadata = stored.metadata | {"statistics": provenance, "rescale": rescaling}
    save_weights(run.out("normalised.safetensors"), state, metadata)
    write_parquet(run.out("factors.parquet"), [frame], metadata)
    totals = {name: int(counts.get(name, 0)) for name in ("normalised", "tied", "dead", "pinned")}
    if "negative" in counts:
        totals["negative"] = int(counts["negative"])
    orders = round(math.log10(frame["factor"].max() / frame["factor"].min()), 4)
    errors = (table["standard_error"] / table["mean"].abs())[table["mean"] != 0]
    known = errors.quantile(0.5, interpolation="lower")  # as of the convergence; NaN for a single image
    facts = {"factor_orders": orders, "standard_error": None if math.isnan(known) else round(known, 5)}
    if provenance.get("skipped"):
        facts["skipped"] = provenance["skipped"]
    write_json(run.out("rescale.json"), totals | {"channels": sum(totals.values())} | facts)
    others = [f"{count:,} {name}" for name, count in totals.items() if name != "normalised" and count]
    how = " up to a power of two" if settings.rounding == "pow2" else ""
    said = f"{totals['normalised']:,} of {sum(totals.values()):,} channels normalised{how}"
    said = ", ".join([said, *others])
    if provenance["images"] == 1:
        said += "; the means are those of one image, so nothing says how well they hold for others"
    heads = f"; not reached, left as they were and of no use now: {', '.join(unreached)}"
    return said + heads if unreached else said


if __name__ == "__main__":
    rescale_weights()
