"""What a report says."""

import dataclasses

import pytest
from pipeline.report.made_up import SITES, evidence, failed

from unitmean.pipeline.report import figures
from unitmean.pipeline.report.findings import (
    checks,
    exceptions,
    layer_table,
    origin,
    sites,
    stand_ins,
    verdict,
)
from unitmean.pipeline.report.gather import Evidence
from unitmean.pipeline.report.numbers import number, ranges
from unitmean.pipeline.report.render import render


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.0, "0"),
        (0.57213, "0.572"),
        (999.7, "1,000"),
        (102623.0, "102,623"),
        (9.01e-14, "9.0 × 10<sup>−14</sup>"),
        (6.99e41, "7.0 × 10<sup>41</sup>"),
    ],
)
def test_numbers_are_readable(value: float | None, text: str) -> None:
    assert number(value) == text


def test_ranges_join_neighbours() -> None:
    assert ranges([19, 3, 17, 18]) == "3, 17–19"
    assert ranges([]) == ""


def test_verdict_counts_what_was_normalised() -> None:
    assert "all 14 channels is one" in verdict(evidence()).sentence
    some = evidence(rescale={"channels": 14, "normalised": 11})
    assert "11 of 14 channels is one" in verdict(some).sentence


def test_verdict_does_not_claim_more_than_was_done() -> None:
    assert "each channel divided by a recorded factor" in verdict(rescaled(outputs="normalise")).sentence
    assert "factor √2" in verdict(rescaled(rounding="pow2")).sentence
    assert "The root mean square of all 14" in verdict(rescaled(statistic="rms")).sentence
    by_quantile = rescaled(statistic="quantile", quantile=0.999)
    assert "The 99.9% quantile of all 14" in verdict(by_quantile).sentence
    assert "divided by its 99.9% quantile" in render(by_quantile)


def test_neither_headline_nor_figure_claims_what_tied_rounded_or_dead_channels_are_not() -> None:
    some = {"channels": 14, "normalised": 8, "tied": 3, "dead": 2, "pinned": 1}
    made = rescaled(rounding="pow2")
    found = verdict(dataclasses.replace(made, rescale=some))
    where = "where channels are active and free"
    assert found.headline == f"Invariant, and normalised {where}, up to a power of two"
    assert "is one" not in found.sentence and "8 of 14 channels lies within a factor √2" in found.sentence
    assert "3 share a factor" in found.sentence and "2 are never" in found.sentence
    assert "1 must keep" in found.sentence
    assert verdict(evidence()).headline == "Invariant and normalised"
    silent = evidence(rescale={"channels": 14, "normalised": 12, "dead": 2})
    assert verdict(silent).headline == "Invariant, and normalised where channels are active"
    means = made.means.assign(status=["dead", "dead", *["normalised"] * 12])
    assert "after: 12 of 14 channels" in figures.means(means).decode()
    assert "after: all channels" in figures.means(made.means).decode()


def test_a_dead_channel_is_not_said_to_be_left_alone() -> None:
    some = evidence(rescale={"channels": 14, "normalised": 12, "dead": 2})
    assert (
        "2 are never, or hardly ever, active and keep the factor one, unless they" in verdict(some).sentence
    )
    factors = evidence().factors
    factors.loc[[1, 2], "status"] = "dead"
    assert "keeps the factor one, unless it shares its factor" in render(evidence(factors=factors))


def test_files_that_are_no_images_are_not_images_that_could_not_be_decoded() -> None:
    found = dict(origin(evidence(skipped=2, left_out=1_234)))
    assert found["Skipped"] == "2 that could not be decoded"
    assert found["Left out"] == "1,234 that are no images"
    assert dict(origin(evidence()))["Skipped"] == dict(origin(evidence()))["Left out"] == "none"


def test_the_measurement_is_the_files_own() -> None:
    provenance = dict(evidence().provenance)
    measured = provenance["statistics"] | {
        "model": {"name": "tiny", "pooling": "avg", "padding": "reflect"},
        "preprocess": {"resize": "shorter", "pixels": 95, "crop": 64},
    }
    made = evidence(provenance=provenance | {"statistics": measured})
    found = dict(origin(made))
    assert found["Network"] == "tiny, avg pooling, reflect padding"
    assert found["Pixels"] == "resize shorter, pixels 95, crop 64"
    assert "were measured with reflect padding and avg pooling" in " ".join(render(made).split())


def test_a_head_that_was_not_reached_is_named() -> None:
    page = render(rescaled(unreached=["AuxLogits"]))
    assert "<strong>AuxLogits</strong>: not reached" in page and "not reached" not in render(evidence())


def rescaled(**changes: object) -> Evidence:
    provenance = dict(evidence().provenance)
    return evidence(provenance=provenance | {"rescale": provenance["rescale"] | changes})


def test_a_failed_proof_is_not_praised() -> None:
    found = verdict(failed())
    assert found.headline == "Not proved"
    assert "1 check failed" in found.sentence
    assert [check.holds for check in checks(failed())] == [True, False, True, True, True]


def test_no_class_no_check() -> None:
    proof = dict(evidence().invariance) | {"top1_agreement": None}
    assert len(checks(evidence(invariance=proof))) == len(checks(evidence())) - 1


def test_layers_are_summed_up() -> None:
    table = layer_table(evidence())
    assert table["site"].tolist() == sites(evidence()) == list(SITES)
    assert table["channels"].tolist() == list(SITES.values())
    assert table["error"].max() == pytest.approx(1e-6)
    assert (table["ratio"] == table["largest"] / table["smallest"]).all()


def test_a_layer_without_live_channels_has_no_figures() -> None:
    made = evidence()
    means = made.means.assign(status=made.means["status"].where(made.means["site"] != "relu1_1", "dead"))
    first = layer_table(dataclasses.replace(made, means=means)).iloc[0]
    assert first["live"] == 0 and number(first["error"]) == number(first["ratio"]) == "–"


def test_exceptions_are_grouped_with_their_reasons() -> None:
    factors = evidence().factors
    factors.loc[[1, 2, 3], "status"] = "dead"
    factors.loc[[8, 10], ["status", "reason"]] = ["pinned", "read by sigmoid"]
    groups = exceptions(evidence(factors=factors))
    assert [(g.site, g.status, g.reason, g.count, g.channels) for g in groups] == [
        ("relu1_1", "dead", "", 3, "1–3"),
        ("relu2_1", "pinned", "read by sigmoid", 2, "2, 4"),
    ]


def test_stand_ins_are_named_and_real_things_are_not() -> None:
    assert len(stand_ins(evidence())) == 2
    real = evidence(
        weights={"source": {"kind": "caffe"}, "licence": "CC BY"},
        dataset={"name": "val", "source": "ilsvrc_val"},
    )
    assert stand_ins(real) == []
