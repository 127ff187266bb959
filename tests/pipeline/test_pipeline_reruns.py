"""The README says which stages run again when a parameter changes; dvc.yaml decides."""

from pathlib import Path

import pytest

from unitmean.pipeline.config.keys import all_keys, keys, sections
from unitmean.pipeline.config.pipeline import Step, read_pipeline

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "README.md"
BEGIN, END = "<!-- reruns: begin -->\n", "<!-- reruns: end -->"
# Its only output never changes, so nothing follows from its running.
CONSTANT = "config"


def reruns(steps: dict[str, Step], name: str) -> list[str]:
    """The stages, in order, that a change of `section.key` may run again, `config` aside."""
    stale = {step.name for step in steps.values() if step.reads(*name.split("."))} - {CONSTANT}
    while True:
        changed = {path for step in stale for path in steps[step].outs}
        more = {step.name for step in steps.values() if changed.intersection(step.deps)} | stale
        if more == stale:
            return [step for step in steps if step in stale]
        stale = more


def table(steps: dict[str, Step]) -> str:
    """One row for each set of stages."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for name in all_keys():
        rows.setdefault(tuple(reruns(steps, name)), []).append(name)
    lines = ["| changed parameter | stages that run again |", "|---|---|"]
    for stages, names in rows.items():
        stage_words = ", ".join(f"`{stage}`" for stage in stages) or "none"
        lines.append(f"| {', '.join(f'`{name}`' for name in _shorten(names))} | {stage_words} |")
    return "\n".join(lines) + "\n"


def _shorten(names: list[str]) -> list[str]:
    for section in sections():
        whole = [f"{section}.{key}" for key in keys(section)]
        if len(whole) > 1 and set(whole) <= set(names):
            names = [f"{section}.*" if name == whole[0] else name for name in names if name not in whole[1:]]
    return names


def test_the_document_is_what_dvc_yaml_implies() -> None:
    written = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert written == table(read_pipeline(ROOT)), "run `make docs` to write it again"


LATER = ["verify_invariance", "export_weights", "transfer_style", "report", "export_hub"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("transfer.steps", ["transfer_style", "report", "export_hub"]),
        ("verify.images", ["verify_invariance", "export_weights", "report", "export_hub"]),
        ("rescale.rounding", ["rescale_weights", *LATER]),
        ("dataset.subset", ["collect_statistics", "rescale_weights", *LATER]),
        ("preprocess.pixels", ["collect_statistics", "rescale_weights", *LATER]),
        ("audit.enabled", ["audit_weights", "report", "export_hub"]),
        ("hub.enabled", ["export_hub"]),
        ("weights.seed", ["fetch_weights", "audit_weights", "collect_statistics", "rescale_weights", *LATER]),
        ("dataset.seed", ["index_images", "audit_weights", "collect_statistics", "rescale_weights", *LATER]),
        ("model.name", ["fetch_weights", "audit_weights", "collect_statistics", "rescale_weights", *LATER]),
        ("meta.content", ["transfer_style", "report", "export_hub"]),
        ("meta.weights", ["fetch_weights", "audit_weights", "collect_statistics", "rescale_weights", *LATER]),
        ("meta.conf_sha", []),
    ],
)
def test_what_a_user_expects(name: str, expected: list[str]) -> None:
    assert reruns(read_pipeline(ROOT), name) == expected


def test_every_parameter_belongs_to_a_stage() -> None:
    steps = read_pipeline(ROOT)
    assert [name for name in all_keys() if not reruns(steps, name)] == ["meta.conf_sha"]


if __name__ == "__main__":
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    DOCUMENT.write_text(
        before + BEGIN + table(read_pipeline(ROOT)) + END + rest.partition(END)[2], encoding="utf-8"
    )
