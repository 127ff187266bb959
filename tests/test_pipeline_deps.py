"""dvc.yaml's deps of a stage are every module of unitmean that the stage imports, and no other.

`python tests/test_pipeline_deps.py` writes them again.
"""

import re
from pathlib import Path

import pytest
from source_imports import imported_by

from unitmean.config.pipeline import read_pipeline

ROOT = Path(__file__).resolve().parents[1]
STEPS = read_pipeline(ROOT)


def sources(name: str) -> list[str]:
    """The deps that a stage needs: files, or a folder where it imports every module of that folder."""
    files = imported_by(f"unitmean.stages.{name}")
    folders = {Path(file).parent for file in files}
    whole = {
        folder.as_posix()
        for folder in folders
        if {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py")} <= files
    }
    return sorted(whole | {file for file in files if Path(file).parent.as_posix() not in whole})


def with_sources(text: str) -> str:
    """The text of dvc.yaml with every stage's `- src/…` lines as they must be."""
    for name in STEPS:
        head, body, tail = re.split(
            rf"(?s)(^  {name}:\n.*?^    outs:\n)", text, maxsplit=1, flags=re.MULTILINE
        )
        body = re.sub(r"^      - src/.*\n", "", body, flags=re.MULTILINE)
        lines = "".join(f"      - {path}\n" for path in sources(name))
        text = head + body.replace("    outs:\n", f"{lines}    outs:\n") + tail
    return text


def test_each_stage_has_a_module_and_a_command() -> None:
    text = (ROOT / "dvc.yaml").read_text()
    for name in STEPS:
        assert (ROOT / "src/unitmean/stages" / f"{name}.py").is_file()
        assert f"cmd: python -m unitmean.stages.{name}\n" in text


@pytest.mark.parametrize("name", STEPS)
def test_every_imported_module_is_a_dependency(name: str) -> None:
    listed = [dep for dep in STEPS[name].deps if dep.startswith("src/")]
    missing = [
        path
        for path in sorted(imported_by(f"unitmean.stages.{name}"))
        if not any(Path(path).is_relative_to(dep) for dep in listed)
    ]
    assert missing == [], "run `python tests/test_pipeline_deps.py` to write dvc.yaml again"


def test_no_other_module_is_a_dependency() -> None:
    text = (ROOT / "dvc.yaml").read_text()
    assert text == with_sources(text), "run `python tests/test_pipeline_deps.py` to write dvc.yaml again"


@pytest.mark.parametrize("name", [name for name in STEPS if name != "config"])
def test_a_stage_reads_and_writes_what_it_declares(name: str) -> None:
    text = (ROOT / "src/unitmean/stages" / f"{name}.py").read_text()
    step = STEPS[name]
    files = {Path(path).name for path in (*step.deps, *step.outs) if path.startswith("data/")}
    # The mark only makes `config` run first.
    assert [file for file in files - {"config.ok"} if f'"{file}"' not in text] == []
    sections = {param.partition(".")[0] for param in step.params}
    assert [section for section in sections if f"params.{section}" not in text] == []


def test_a_change_of_the_report_measures_nothing_again() -> None:
    for name in ("collect_statistics", "rescale_weights", "verify_invariance", "transfer_style"):
        assert not [path for path in imported_by(f"unitmean.stages.{name}") if "/report" in path]


def test_the_walk_follows_imports_of_imports_and_packages() -> None:
    found = imported_by("unitmean.stages.config")
    assert {
        "src/unitmean/stages/config.py",
        "src/unitmean/stages/entry.py",  # imported
        "src/unitmean/config/pipeline.py",  # imported by entry
        "src/unitmean/config/compose.py",  # imported inside a function
        "src/unitmean/config/__init__.py",  # executed on the way
    } <= found
    assert "src/unitmean/cli.py" not in found


if __name__ == "__main__":
    path = ROOT / "dvc.yaml"
    path.write_text(with_sources(path.read_text()))
