"""The four ways of a proof, one after the other."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from unitmean.graph.observe import OUTPUT
from unitmean.graph.plan import Plan
from unitmean.layouts.networks import Stored
from unitmean.pipeline.proof.compared import Pair, Tolerances, failures
from unitmean.pipeline.proof.remeasure import HeldOut, again, held_out, mean_table
from unitmean.pipeline.rescale.factors import from_frame
from unitmean.proof.algebra import Discrepancy, discrepancies
from unitmean.proof.behaviour import Behaviour
from unitmean.proof.invariance import Comparison
from unitmean.proof.probes import other_size, probes

Images = Iterable[Float[Tensor, "_ 3 h w"]]


@dataclass(frozen=True)
class Shown:
    """What both networks are shown, RGB in [0, 1]: images one by one, so many random inputs, the batches
    that the factors come from, others with their labels, and the classes of so many labels (or None)."""

    images: Images
    random: int
    measured: Images
    held_out: Iterable[tuple[Float[Tensor, "_ 3 h w"], Sequence[str | None]]]
    numbering: Callable[[int], Mapping[str, int] | None]


@dataclass(frozen=True)
class Proof:
    """What was found: by tensor, by kind of input and place, on held-out images, by channel; what fails."""

    wrong: list[Discrepancy]
    comparisons: Mapping[str, Comparison]
    held: HeldOut
    behaviour: Behaviour | None
    means: pd.DataFrame
    images: int
    failures: list[str]


def prove(
    original: Stored,
    rescaled: Stored,
    plan: Plan,
    table: pd.DataFrame,
    shown: Shown,
    size: int,
    seed: int,
    tolerances: Tolerances,
) -> Proof:
    """Algebra, numerics, statistics, behaviour; `table` is factors.parquet, `size` the images' in pixels."""
    factors = from_frame(original.network, plan, table)
    wrong = discrepancies(plan, factors, original.state, rescaled.state)
    comparisons = _compare(Pair(original, rescaled, plan, factors), original, shown, size, seed)
    measured = again(rescaled.network, plan, shown.measured, size)
    noise = 2 * comparisons["image"].deviations[OUTPUT].float32_error  # either network's
    held = held_out(original.network, rescaled.network, plan, shown.held_out, shown.numbering, size, noise)
    behaviour = comparisons["image"].behaviour
    if behaviour is not None and held.behaviour is not None:
        behaviour += held.behaviour
    means = mean_table(table, measured, held.means)
    rounding = rescaled.metadata["rescale"]["rounding"]
    failed = list(failures(wrong, comparisons, behaviour, means, original.network, tolerances, rounding))
    images = next(iter(measured.values())).images if measured else 0
    return Proof(wrong, comparisons, held, behaviour, means, images, failed)


def _compare(pair: Pair, original: Stored, shown: Shown, size: int, seed: int) -> dict[str, Comparison]:
    """By kind of input: images and noise at the size of the statistics, the others where it is cheaper."""
    apply = original.network.input.apply
    generator = torch.Generator().manual_seed(seed)
    found = {"image": pair.compare((apply(x) for x in shown.images), size)}
    if shown.random:
        noise = torch.rand(shown.random, 3, size, size, generator=generator)
        found["random"] = pair.compare(apply(noise).split(1), size)
    other = other_size(original.network.module, size)
    noise = apply(torch.rand(1, 3, other, other, generator=generator))
    extra = probes(noise, seed) | ({f"{other} pixels": noise} if other != size else {})
    return found | {kind: pair.compare([x], other) for kind, x in extra.items()}
