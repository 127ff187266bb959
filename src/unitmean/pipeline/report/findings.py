"""What a report says: tables boiled down to the figures that are shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from unitmean.pipeline.report.gather import Evidence, Transfer
from unitmean.pipeline.report.numbers import number, ranges
from unitmean.statistics import words

LIVE = ("normalised", "tied")
OUTPUT = "output"


@dataclass(frozen=True)
class Check:
    """One property: what it is, what was found, what is allowed, whether it holds."""

    name: str
    found: str
    allowed: str
    holds: bool


@dataclass(frozen=True)
class Group:
    """Channels of one layer that were not simply normalised, and why."""

    site: str
    status: str
    reason: str
    count: int
    channels: str  # as ranges: "3, 17-19"
    means: tuple[float, float]  # what their means became: smallest and largest


def sites(evidence: Evidence) -> list[str]:
    """The rectifiers' names in the network's order."""
    return [str(site) for site in evidence.statistics["site"].unique()]


def checks(evidence: Evidence) -> list[Check]:
    """The proof's properties, each against its tolerance."""
    found, allowed = evidence.invariance, evidence.invariance["tolerances"]
    rows = [
        _none("Tensors that are not the original's times their factors", found["differing"]),
        _at_most(
            "Change of the output, float64", found["float64_difference"], allowed["max_float64_difference"]
        ),
        _at_most(
            "Change of the output, float32, against float32's own rounding",
            found["float32_ratio"],
            allowed["max_float32_ratio"],
            unit=" times",
        ),
        _at_most(
            "Largest error of a channel's new mean, against what rounding may do to it",
            found["max_mean_ratio"],
            1.0,
            unit=" times",
        ),
    ]
    if found["top1_agreement"] is not None:
        agreement, least = found["top1_agreement"], allowed["min_top1_agreement"]
        rows.append(
            Check(
                "Same first choice of class", f"{agreement:.0%}", f"at least {least:.0%}", agreement >= least
            )
        )
    return rows


def _at_most(name: str, found: float | None, allowed: float, unit: str = "") -> Check:
    holds = found is not None and found <= allowed
    return Check(name, number(found) + unit, "at most " + number(allowed) + unit, holds)


def _none(name: str, found: Sequence[object]) -> Check:
    return Check(name, str(len(found)), "none, to half a unit in the last place", not found)


def kinds(evidence: Evidence) -> pd.DataFrame:
    """A row a kind of input: the worst layer's differences."""
    columns = ["float64", "float32", "float32_error"]
    return evidence.inputs.groupby("input", sort=False)[columns].max().reset_index()


def layer_table(evidence: Evidence) -> pd.DataFrame:
    """A row a layer: its channels, their means before and after, the worst relative error after."""
    rows = []
    for site, means in evidence.means.groupby("site", sort=False):
        live = means[means["status"].isin(LIVE)]
        before = live["mean_before"]
        rows.append(
            {
                "site": site,
                "channels": len(means),
                "live": len(live),
                "smallest": before.min(),
                "median": before.median(),
                "largest": before.max(),
                "ratio": before.max() / before.min() if len(live) else None,
                "after": (live["mean_after"].min(), live["mean_after"].max()),
                "error": (live["mean_after"] / live["target"] - 1).abs().max(),
            }
        )
    return pd.DataFrame(rows)


def exceptions(evidence: Evidence) -> list[Group]:
    """Channels that are dead, negative, tied or pinned, by layer and reason."""
    table = evidence.factors[~evidence.factors["status"].isin(["normalised", OUTPUT])]
    table = table.assign(reason=table["reason"].astype(object).where(table["reason"].notna(), ""))
    table = table.merge(evidence.means[["site", "channel", "mean_after"]], on=["site", "channel"], how="left")
    return [
        Group(
            str(site),
            str(status),
            str(reason),
            len(rows),
            ranges(rows["channel"]),
            (float(rows["mean_after"].min()), float(rows["mean_after"].max())),
        )
        for (site, status, reason), rows in table.groupby(["site", "status", "reason"], sort=False)
    ]


def stand_ins(evidence: Evidence) -> list[str]:
    """Which inputs of this run are stand-ins, in words."""
    found = []
    if evidence.weights["source"]["kind"] == "seeded":
        found.append("the weights are random numbers, badly scaled on purpose")
    if evidence.dataset["source"] == "generated":
        found.append("the images are generated, dead leaves with natural statistics")
    return found


@dataclass(frozen=True)
class Verdict:
    """The report in a headline and a sentence."""

    headline: str
    sentence: str


def verdict(evidence: Evidence) -> Verdict:
    """The report's verdict, for readers who don't know the run."""
    if not evidence.invariance["passed"]:
        failed = evidence.invariance["failures"]
        return Verdict(
            "Not proved",
            f"This {evidence.model['name']} is not shown to be the original with other factors: "
            f"{len(failed)} {'check' if len(failed) == 1 else 'checks'} failed. Don't use the file.",
        )
    function = (
        "It computes what the original computes, up to rounding"
        if evidence.provenance["rescale"]["outputs"] == "preserve"
        else "Its output is the original's, each channel divided by a recorded factor"
    )
    became = words.became(
        evidence.rescale, evidence.provenance["rescale"], evidence.provenance["statistics"]["images"]
    )
    rounded = evidence.provenance["rescale"]["rounding"] == "pow2"
    left = evidence.rescale
    where = ["active"] * bool(left.get("dead")) + ["positive"] * bool(left.get("negative"))
    where += ["free"] * bool(left.get("tied") or left.get("pinned"))
    headline = "Invariant, and normalised" if rounded or where else "Invariant and normalised"
    headline += f" where channels are {' and '.join(where)}" if where else ""
    return Verdict(headline + ", up to a power of two" * rounded, f"{function}. {became}")


def all_at_one(evidence: Evidence) -> bool:
    """Whether every channel was divided by its own statistic, neither shared nor rounded."""
    rounded = evidence.provenance["rescale"]["rounding"] == "pow2"
    return not rounded and bool(evidence.rescale["normalised"] == evidence.rescale["channels"])


def spread(transfer: Transfer) -> dict[str, float]:
    """How many times the loudest style layer outweighs the quietest, by network."""
    layers = transfer.layers
    return {name: float(layers[name].max() / layers[name].min()) for name in ("plain", "normalised")}


def origin(evidence: Evidence) -> list[tuple[str, str]]:
    """The network, its weights and the images, in words."""
    source, model, statistics = evidence.weights["source"], evidence.model, evidence.provenance["statistics"]
    preprocess, measured = statistics["preprocess"], statistics["images"]
    return [
        ("Network", f"{model['name']}, {model['pooling']} pooling, {model['padding']} padding"),
        ("Weights", ", ".join(f"{key} {value}" for key, value in source.items() if value is not None)),
        ("Licence", str(evidence.weights["licence"])),
        ("Images", f"{measured:,} of {evidence.dataset['name']} ({evidence.dataset['source']})"),
        ("Skipped", f"{evidence.skipped:,} that could not be decoded" if evidence.skipped else "none"),
        ("Left out", f"{evidence.left_out:,} that are no images" if evidence.left_out else "none"),
        ("Pixels", ", ".join(f"{key} {value}" for key, value in preprocess.items() if value is not None)),
    ]


def hashes(evidence: Evidence) -> list[tuple[str, str]]:
    """Hashes and versions that identify the run."""
    statistics = evidence.provenance["statistics"]
    return [
        ("weights, sha256", statistics["weights"]),
        ("rescaled weights, sha256", evidence.invariance["sha256"]),
        ("images, hash of the index", statistics["index"]),
        ("unitmean", statistics["unitmean"]),
        ("torch", statistics["torch"]),
    ]
