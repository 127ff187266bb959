"""Whether the fetched weights are normalised already, and by which measurement."""

from unitmean.disk.atomic import write_json, write_text
from unitmean.pipeline.stages.entry import Run, stage

CANDIDATES = "candidate,pixels,input,padding,pooling,spread,distance,within"
MEANS = "site,channel,mean,standard_error,shared_mean,z,known,explained"


@stage
def audit_weights(run: Run) -> str:
    """Try the candidates on the weights; where `audit.enabled` is false, write tables without rows."""
    settings = run.params.audit
    if not settings.enabled:
        write_text(run.out("audit_candidates.csv"), CANDIDATES + "\n")
        write_text(run.out("audit_means.csv"), MEANS + "\n")
        write_json(run.out("audit.json"), {})
        return "not asked for; audit.enabled=true tries how the weights may have been normalised"
    # Imported here, since torch takes seconds, for which a run without an audit shouldn't wait.
    from unitmean.device import choose_device
    from unitmean.networks.own import spelt
    from unitmean.pipeline.audit.candidates import Trials
    from unitmean.pipeline.audit.measured import candidate_table, figures
    from unitmean.pipeline.audit.published import read_fetched, try_candidates
    from unitmean.pipeline.config.project import find_root
    from unitmean.pipeline.index.index import load_index

    run.clear()
    published = read_fetched(
        run.dep("weights.safetensors"), spelt(run.params.model.name, run.params.model.code)
    )
    every = load_index(run.dep("images") / "index.parquet")
    index = every.head(min(settings.images, len(every)))
    trials = Trials(settings.pixels, settings.resizes, settings.paddings, settings.poolings)
    partial = find_root() / ".partial" / "shards"
    measured = try_candidates(published, index, trials, partial, choose_device(run.params.runtime.device))
    best = measured[0]
    write_text(
        run.out("audit_candidates.csv"), candidate_table(measured).to_csv(index=False, float_format="%.6g")
    )
    write_text(run.out("audit_means.csv"), best.table.to_csv(index=False, float_format="%.6g"))
    write_json(run.out("audit.json"), figures(measured, len(index)))
    return f"{best.verdict}: over {len(index)} images {best.words}"


if __name__ == "__main__":
    audit_weights()
