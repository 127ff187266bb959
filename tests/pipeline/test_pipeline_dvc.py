"""DVC and Hydra together, in a scratch copy of the project."""

import re
from pathlib import Path

import pytest
from scratch_project import attempt, commit, copy_project, replace_commands, run
from test_pipeline_reruns import reruns

from unitmean.pipeline.commands.configure import configure
from unitmean.pipeline.config.pipeline import read_pipeline


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("project"))
    replace_commands(folder)
    commit(folder)
    return folder


def ran(output: str) -> list[str]:
    return re.findall(r"^Running stage '(\w+)'", output, flags=re.MULTILINE)


def outputs(project: Path) -> dict[str, bytes]:
    data = project / "data"
    return {
        str(path.relative_to(data)): path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()
    }


@pytest.mark.slow
def test_there_and_back_comes_from_the_cache(project: Path) -> None:
    assert set(ran(run(project, "dvc", "repro").stdout)) == set(read_pipeline(project))
    first = outputs(project)
    assert "vgg19/report.html" in first
    assert run(project, "dvc", "status", "--json").stdout.strip() == "{}"

    configure(project, ["transfer.steps=5"])
    steps = ran(run(project, "dvc", "repro").stdout)
    assert steps == ["config", *reruns(read_pipeline(project), "transfer.steps")]
    assert outputs(project) != first

    configure(project, [])
    assert ran(run(project, "dvc", "repro").stdout) == []
    assert outputs(project) == first
    # All that was written is ignored by git, and DVC wrote no .gitignore.
    assert run(project, "git", "status", "--porcelain").stdout.split() == ["??", "dvc.lock"]


def test_both_ways_to_run_a_variant_write_the_same_bytes(project: Path) -> None:
    configure(project, [])
    commit(project)
    overrides = ["model=vgg16", "dataset.subset=100", "transfer.style_layers=[relu1_1,relu2_1]"]
    run(project, "dvc", "exp", "run", "config", *(part for text in overrides for part in ("-S", text)))
    by_dvc = (project / "params.yaml").read_bytes()
    configure(project, [])
    assert (project / "params.yaml").read_bytes() != by_dvc
    configure(project, overrides)
    assert (project / "params.yaml").read_bytes() == by_dvc
    configure(project, [])


@pytest.mark.parametrize("override", ["model=vgg99", "dataset.subset=abc"])
def test_dvc_refuses_a_wrong_override_before_anything_runs(project: Path, override: str) -> None:
    configure(project, [])
    before = (project / "params.yaml").read_bytes()
    result = attempt(project, "dvc", "exp", "run", "config", "-S", override)
    assert result.returncode != 0
    assert override.partition("=")[0].rpartition(".")[2] in result.stderr and "Traceback" not in result.stderr
    assert (project / "params.yaml").read_bytes() == before and ran(result.stdout) == []


def test_what_hydra_lets_through_stops_at_the_first_stage(project: Path) -> None:
    configure(project, [])
    commit(project)
    result = attempt(project, "dvc", "exp", "run", "-S", "++dataset.subst=5")
    assert result.returncode != 0
    assert "found 'dataset.subst' in params.yaml: did you mean dataset.subset" in result.stderr
    assert ran(result.stdout) == ["config"] and "Traceback" not in result.stderr
