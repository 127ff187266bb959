"""One self-contained page of what ran and what came out."""

from unitmean.disk.atomic import write_text, writing
from unitmean.report.figures import means
from unitmean.report.gather import Evidence, read_csv, read_json, read_parquet, read_pictures
from unitmean.report.render import render
from unitmean.stages.entry import Run, stage


@stage
def report(run: Run) -> str:
    """Gather what the other stages wrote and render it."""
    scales, provenance = read_parquet(run.dep("scales.parquet"))
    statistics, _ = read_parquet(run.dep("statistics.parquet"))
    evidence = Evidence(
        model=run.params.model,
        dataset=run.params.dataset,
        preprocess=run.params.preprocess,
        weights=read_json(run.dep("weights.json")),
        provenance=provenance,
        invariance=read_json(run.dep("proof.json")),
        rescale=read_json(run.dep("rescale.json")),
        transfer=read_json(run.dep("transfer.json")),
        skipped=len(read_csv(run.dep("images") / "skipped.csv")),
        statistics=statistics,
        scales=scales,
        layers=read_csv(run.dep("layers.csv")),
        means=read_csv(run.dep("means.csv")),
        losses=read_csv(run.dep("losses.csv")),
        pictures=read_pictures(run.dep("transfer")),
    )
    page = run.out("report.html")
    write_text(page, render(evidence))
    with writing(run.out("means.png")) as temporary:
        temporary.write_bytes(means(evidence.means, "png"))
    return str(page)


if __name__ == "__main__":
    report()
