"""dvc.yaml's deps of a stage are the folders of all modules of unitmean that the stage imports, and no other;
its params are single keys, never sections.

`make docs` writes both again; where a stage reads a whole section, write
its name into dvc.yaml and run it.
"""

import re
import textwrap
from pathlib import Path

import pytest
import yaml

from unitmean.pipeline.commands.init import without_code
from unitmean.pipeline.config.keys import all_keys, keys, sections
from unitmean.pipeline.config.pipeline import read_pipeline
from unitmean.pipeline.measure import source_code

ROOT = Path(__file__).resolve().parents[2]
STEPS = read_pipeline(ROOT)
HOW = "run `make docs` to write dvc.yaml again"


def imported_by(module: str) -> list[str]:
    """Paths (`src/unitmean/…`) of all files of unitmean that importing the module executes."""
    return [f"src/{path}" for path in source_code.imported_by(module)]


def sources(name: str) -> list[str]:
    """The deps that a stage needs: the rooms that it imports from, and its own and other lone files.

    A room within another is a part of it.
    """
    rooms = {_room(Path(file)) for file in imported_by(f"unitmean.pipeline.stages.{name}")}
    return sorted(room for room in rooms if rooms.isdisjoint(map(str, Path(room).parents)))


def _room(file: Path) -> str:
    """A module's folder; the module itself where it stands beside the rooms, or is a stage."""
    alone = file.parent.name in {"unitmean", "pipeline", "stages"}
    return (file if alone else file.parent).as_posix()


def with_sources(text: str) -> str:
    """The text of dvc.yaml with every stage's deps in src/ as they must be."""
    for name, stage in yaml.safe_load(text)["stages"].items():
        others = [dep for dep in stage["deps"] if not dep.startswith("src/")]
        # Braces mean something else in a YAML list, unless quoted.
        quoted = [f'"{dep}"' if "{" in dep else dep for dep in others]
        deps = _wrapped("deps", [*quoted, *sources(name)])
        pattern = rf"(?s)(^  {name}:\n.*?)^    deps:\s*.*?(?=^    \w)"
        text = re.sub(pattern, lambda found: found[1] + deps, text, count=1, flags=re.MULTILINE)  # noqa: B023
    return text


def _wrapped(name: str, items: list[str]) -> str:
    words = f"    {name}: [{', '.join(items)}]"
    return (
        textwrap.fill(words, 118, subsequent_indent="      ", break_long_words=False, break_on_hyphens=False)
        + "\n"
    )


def with_single_keys(text: str) -> str:
    """The text of dvc.yaml with each section among a stage's params written as all of its keys."""

    def single(match: re.Match[str]) -> str:
        listed = []
        for name in yaml.safe_load(match[1]):
            listed += [f"{name}.{key}" for key in keys(name)] if name in sections() else [name]
        return _wrapped("params", list(dict.fromkeys(listed)))

    return re.sub(r"(?s)    params:(\n      - .*?|\s*\[.*?\]\n)(?=    \w)", single, text)


def test_each_stage_has_a_module_and_a_command() -> None:
    text = (ROOT / "dvc.yaml").read_text()
    for name in STEPS:
        assert (ROOT / "src/unitmean/pipeline/stages" / f"{name}.py").is_file()
        assert f"cmd: python -m unitmean.pipeline.stages.{name}\n" in text


@pytest.mark.parametrize("name", STEPS)
def test_every_imported_module_is_a_dependency(name: str) -> None:
    listed = [dep for dep in STEPS[name].deps if dep.startswith("src/")]
    missing = [
        path
        for path in sorted(imported_by(f"unitmean.pipeline.stages.{name}"))
        if not any(Path(path).is_relative_to(dep) for dep in listed)
    ]
    assert missing == [], HOW


def test_no_other_module_is_a_dependency() -> None:
    text = (ROOT / "dvc.yaml").read_text()
    assert text == with_sources(text), HOW


def test_a_project_without_code_depends_on_the_packages_version_instead() -> None:
    stages = yaml.safe_load(without_code((ROOT / "dvc.yaml").read_text()))["stages"]
    for name, step in STEPS.items():
        others = [dep for dep in step.deps if not dep.startswith("src/")]
        assert sorted(stages[name]["deps"]) == sorted([*others, "requirements.txt"])


def test_params_are_single_keys() -> None:
    # DVC's cache of runs ignores every `size` and `nfiles` inside a section that is declared as a whole
    # (dvc/stage/cache.py, treeverse/dvc issue 10296): another size would then give the last one's results.
    text = (ROOT / "dvc.yaml").read_text()
    assert text == with_single_keys(text), HOW
    params = [param for step in STEPS.values() for param in step.params if param != "*"]
    assert [param for param in params if param not in all_keys()] == []


def test_no_key_has_a_name_that_dvc_ignores() -> None:
    assert [name for name in all_keys() if name.rpartition(".")[2] in ("size", "nfiles")] == []


@pytest.mark.parametrize("name", STEPS)
def test_a_section_that_a_stage_reads_as_a_whole_is_declared_as_a_whole(name: str) -> None:
    text = (ROOT / "src/unitmean/pipeline/stages" / f"{name}.py").read_text()
    whole = re.findall(r"(?:\*\*|dict\()run\.params\.(\w+)\b", text)
    needed = [f"{section}.{key}" for section in whole for key in keys(section)]
    assert [key for key in needed if key not in STEPS[name].params] == []


@pytest.mark.parametrize("name", [name for name in STEPS if name != "config"])
def test_a_stage_reads_and_writes_what_it_declares(name: str) -> None:
    text = (ROOT / "src/unitmean/pipeline/stages" / f"{name}.py").read_text()
    step = STEPS[name]
    files = {Path(path).name for path in (*step.deps, *step.outs) if path.startswith("data/")}
    # The mark only makes `config` run first.
    assert [file for file in files - {"config.ok"} if f'"{file}"' not in text] == []
    declared = {param.partition(".")[0] for param in step.params}
    # What `meta` records is compared before a stage begins.
    assert [section for section in declared - {"meta"} if f"params.{section}" not in text] == []


def test_a_change_of_the_report_measures_nothing_again() -> None:
    for name in ("collect_statistics", "rescale_weights", "verify_invariance", "transfer_style"):
        assert not [path for path in imported_by(f"unitmean.pipeline.stages.{name}") if "/report" in path]


def test_the_walk_follows_imports_of_imports_and_packages() -> None:
    found = imported_by("unitmean.pipeline.stages.config")
    assert {
        "src/unitmean/pipeline/stages/config.py",
        "src/unitmean/pipeline/stages/entry.py",  # imported
        "src/unitmean/pipeline/config/pipeline.py",  # imported by entry
        "src/unitmean/pipeline/config/compose.py",  # imported inside a function
        "src/unitmean/pipeline/config/__init__.py",  # executed on the way
    } <= set(found)
    assert "src/unitmean/cli.py" not in found


if __name__ == "__main__":
    path = ROOT / "dvc.yaml"
    path.write_text(with_sources(with_single_keys(path.read_text())))
