"""One self-contained page of what ran and what came out."""

from collections.abc import Mapping
from typing import Any

from unitmean.disk.atomic import write_text, writing
from unitmean.disk.digest import sha256
from unitmean.errors import ConfigError, DataError
from unitmean.pipeline.disk.documents import read_csv, read_json
from unitmean.pipeline.disk.frames import read_parquet
from unitmean.pipeline.report.figures import means
from unitmean.pipeline.report.gather import (
    Audit,
    Evidence,
    Transfer,
    read_pictures,
)
from unitmean.pipeline.report.render import render
from unitmean.pipeline.stages.entry import Run, stage


@stage
def report(run: Run) -> str:
    """Gather what the other stages wrote and render it; after a failed proof, as much as there is."""
    factors, provenance = read_parquet(run.dep("factors.parquet"), ("mean", "factor"), ("site", "status"))
    statistics, _ = read_parquet(run.dep("statistics.parquet"), ())
    proof = read_json(run.dep("proof.json"))
    _require_same_images(run, provenance)
    # Behind a failed proof no transfer or export ran, and what lies there is of another file.
    card = read_json(run.dep("exports") / "card.json") if proof["passed"] else {}
    transfer = _transfer(run) if proof["passed"] else None
    digest = sha256(run.dep("factors.parquet"))
    _require_of(digest, proof.get("factors"), "factors.parquet", "verify_invariance")
    if proof["passed"]:
        _require_of(proof["sha256"], card.get("sha256"), "the exports", "export_weights")
    if transfer is not None:
        _require_of(proof["sha256"], transfer.settings.get("sha256"), "the pictures", "transfer_style")
    evidence = Evidence(
        dataset=run.params.dataset,
        weights=read_json(run.dep("weights.json")),
        provenance=provenance,
        invariance=proof,
        rescale=read_json(run.dep("rescale.json")),
        transfer=transfer,
        audit=_audit(run),
        loading=card.get("canonical", ""),
        exports=card.get("files", []),
        skipped=len(read_csv(run.dep("images") / "skipped.csv")),
        left_out=int(read_csv(run.dep("images") / "left_out.csv")["count"].sum()),
        statistics=statistics,
        convergence=read_csv(run.dep("convergence.csv")),
        factors=factors,
        inputs=read_csv(run.dep("inputs.csv")),
        layers=read_csv(run.dep("layers.csv")),
        means=read_csv(run.dep("means.csv")),
    )
    page = run.out("report.html")
    write_text(page, render(evidence))
    with writing(run.out("means.png")) as temporary:
        temporary.write_bytes(means(evidence.means, "png"))
    if not proof["passed"]:
        return f"{page}  NOT PROVED"
    fell = evidence.transfer is None or evidence.transfer.figures["passed"]
    return f"{page}{'' if fell else '  THE STYLE TRANSFER LOSS FELL TOO LITTLE'}"


def _require_same_images(run: Run, provenance: Mapping[str, Any]) -> None:
    """ConfigError where the settings name another data set than the one that was measured."""
    measured, named = provenance["statistics"]["dataset"], run.params.dataset.name
    if named != measured:
        raise ConfigError(
            f"the report must be given the data set that was measured, dataset.name={measured}; found "
            f"dataset.name={named}: give this stage the same overrides as the run, or run `dvc repro`"
        )


def _require_of(expected: str, found: str | None, what: str, stage: str) -> None:
    """DataError where what a stage wrote is of other weights than those that are proved."""
    if found != expected:
        raise DataError(
            f"the report must be of one file of weights; found that {what} and the proof are of two: run "
            f"{stage} again, or `dvc repro`"
        )


def _transfer(run: Run) -> Transfer | None:
    figures: dict[str, Any] = read_json(run.dep("transfer.json"))
    if not figures:  # nobody asked for one
        return None
    losses, layers = read_csv(run.dep("losses.csv")), read_csv(run.dep("style.csv"))
    settings = read_json(run.dep("transfer") / "settings.json")
    return Transfer(figures, settings, losses, layers, read_pictures(run.dep("transfer")))


def _audit(run: Run) -> Audit | None:
    figures = read_json(run.dep("audit.json"))
    if not figures:  # nobody asked for one
        return None
    return Audit(figures, read_csv(run.dep("audit_candidates.csv")), read_csv(run.dep("audit_means.csv")))


if __name__ == "__main__":
    report()
