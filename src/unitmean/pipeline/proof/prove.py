"""A proof in four parts: algebra, numerics, statistics, behaviour."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from unitmean.device import arithmetic
from unitmean.graph.observe import OUTPUT
from unitmean.graph.plan import Plan
from unitmean.layouts.networks import Stored
from unitmean.pipeline.measure.measurement import Measurement, Sums
from unitmean.pipeline.proof.compared import Pair, failures
from unitmean.pipeline.proof.founded import Tables, beyond_precision, require_same_channels, unfounded
from unitmean.pipeline.proof.remeasure import HeldOut, held_out, mean_table, tolerated
from unitmean.pipeline.proof.tolerances import Tolerances
from unitmean.pipeline.rescale.factors import from_frame
from unitmean.proof.algebra import Discrepancy, discrepancies
from unitmean.proof.behaviour import Behaviour
from unitmean.proof.invariance import Comparison
from unitmean.proof.probes import other_size, probes


@dataclass(frozen=True)
class Shown:
    """The inputs that both networks are shown, and the sums measured over them.

    images: RGB in [0, 1], one by one. random: the number of random inputs. collected: the sums over the first
    images that the factors rest on, as shards.parquet has them. first, again: the sums of the original and
    the rescaled network over the same images in float32. held_out: batches of other images, as bytes, with
    labels. numbering: for a number of classes the class of each label, or None; as `labels.classes`.
    """

    images: Iterable[Float[Tensor, "1 3 h w"]]
    random: int
    collected: Sums
    first: Sums
    again: Sums
    held_out: Iterable[tuple[UInt8[Tensor, "_ 3 h w"], Sequence[str | None]]]
    numbering: Callable[[int], Mapping[str, int] | None]


@dataclass(frozen=True)
class Proof:
    """What a proof found; it holds if there are no failures.

    wrong: by tensor. comparisons: by kind of input. held: on held-out images. behaviour: over compared and
    held-out images. means: a row a channel. images: how many were measured again. failures: in sentences.
    """

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
    tables: Tables,
    shown: Shown,
    measurement: Measurement,
    seed: int,
    tolerances: Tolerances,
) -> Proof:
    """Prove all four parts; `measurement` is the rescaled network's, by which `shown.again` was measured."""
    require_same_channels(tables)
    factors = from_frame(original.network, plan, tables.factors)
    rounding = tables.rules.rounding
    wrong = discrepancies(plan, factors, original.state, rescaled.state)
    size = measurement.preprocessing.output_size
    with arithmetic():
        pair = Pair(original, rescaled, plan, factors, measurement.device)
        comparisons = _compare(pair, original, shown, size, seed)
    noise = 2 * comparisons["image"].deviations[OUTPUT].float32_error  # of each of the two networks
    before = replace(measurement, network=original.network)
    held = held_out(before, measurement, shown.held_out, shown.numbering, noise)
    behaviour = comparisons["image"].behaviour
    if behaviour is not None and held.behaviour is not None:
        behaviour += held.behaviour
    means = mean_table(tables.factors, tables.statistics, shown.first, shown.again, held.sums)
    errors = comparisons["image"].rounding
    allowed = tolerated(means, shown.first, errors, original.network, plan, tolerances)
    means = means.assign(allowed=allowed)
    failed = list(failures(wrong, comparisons, behaviour, means, original.network, tolerances, rounding))
    failed += unfounded(original.network, plan, tables)
    failed += beyond_precision(shown.collected, shown.first, tables.correction)
    images = next(iter(shown.again.values())).images if shown.again else 0
    return Proof(wrong, comparisons, held, behaviour, means, images, failed)


def _compare(pair: Pair, original: Stored, shown: Shown, size: int, seed: int) -> dict[str, Comparison]:
    """By kind of input: images and noise at the size of the statistics, the others at `other_size`."""
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
