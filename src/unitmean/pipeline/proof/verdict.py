"""A proof's results as JSON: in full for the report, and a few figures for tables."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from unitmean.errors import InvarianceError
from unitmean.graph.observe import OUTPUT
from unitmean.pipeline.proof.logarithm import logarithm
from unitmean.pipeline.proof.prove import Proof
from unitmean.pipeline.proof.remeasure import largest_error, largest_ratio, within
from unitmean.pipeline.proof.tolerances import Tolerances

SHOWN = 4  # failures that an error message lists: so many of the algebra, and so many others


def details(proof: Proof, allowed: Tolerances) -> dict[str, Any]:
    """Everything but the tables: figures, tolerances, failures; JSON can hold it."""
    comparisons, means, behaviour = proof.comparisons, proof.means, proof.behaviour
    outputs = {kind: comparison.deviations[OUTPUT] for kind, comparison in comparisons.items()}
    chosen = proof.held.behaviour
    labelled = chosen if chosen is not None and chosen.labelled else None
    return {
        "passed": not proof.failures,
        "failures": proof.failures,
        "tolerances": asdict(allowed),
        "differing": [{"tensor": d.tensor, "why": d.why, "ulps": _finite(d.ulps)} for d in proof.wrong],
        "inputs": list(comparisons),
        "float64_difference": _finite(_worst(d.float64 for d in outputs.values())),
        "float32_difference": _finite(_worst(d.float32 for d in outputs.values())),
        "float32_error": _finite(_worst(d.float32_error for d in outputs.values())),
        "float32_ratio": _finite(_worst(d.float32_ratio for d in outputs.values())),
        "bit_identical": all(comparison.bit_identical for comparison in comparisons.values()),
        "max_mean_error": _finite(largest_error(means)),
        "max_mean_ratio": _finite(largest_ratio(means)),
        "images": proof.images,
        "compared_images": comparisons["image"].inputs,
        "heldout_images": next((m.images for m in proof.held.sums.values()), 0),
        "heldout_within_2": within(means, 2.0),
        "heldout_within_3": within(means, 3.0),
        "compared_choices": behaviour.images if behaviour else 0,
        "top1_agreement": behaviour.top1 / behaviour.images if behaviour else None,
        "top5_agreement": behaviour.top5 / behaviour.images if behaviour else None,
        "undecided": behaviour.decided - behaviour.top1 if behaviour else 0,
        "labelled": labelled.labelled if labelled else 0,
        "accuracy_before": labelled.correct_before / labelled.labelled if labelled else None,
        "accuracy_after": labelled.correct_after / labelled.labelled if labelled else None,
    }


def metrics(found: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that tables compare, flat and few; logarithms where DVC would round to zero."""
    kept = ["passed", "float32_ratio", "heldout_within_3", "top1_agreement"]
    kept += ["accuracy_before", "accuracy_after"]
    figures = {key: found[key] for key in kept if found[key] is not None}
    figures["tensors_wrong"] = len(found["differing"])
    for key, name in (("float64_difference", "float64_log10"), ("max_mean_error", "mean_error_log10")):
        value = found[key]
        if value is not None:
            figures[name] = logarithm(value)
    return {key: round(v, 4) if isinstance(v, float) else v for key, v in figures.items()}


def refusal(failed: list[str]) -> InvarianceError:
    """The error that a proof ends with that doesn't hold."""
    algebra = [words for words in failed if words.startswith("algebra")]
    others = [words for words in failed if words not in algebra]
    listed = algebra[:SHOWN] + others[:SHOWN]
    more = f"\n  and {len(failed) - len(listed)} more" if len(failed) > len(listed) else ""
    return InvarianceError(
        "the rescaled network is not proved:\n  "
        + "\n  ".join(listed)
        + more
        + "\n  all of it, as a page: python -m unitmean.pipeline.stages.report "
        + "(with the same overrides, if any)"
    )


def _worst(values: Any) -> float:
    found = list(values)
    return math.nan if any(math.isnan(value) for value in found) else max(found)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
