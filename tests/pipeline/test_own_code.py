"""A stage runs the code of the project that it stands in, whichever checkout Python would import."""

import sys
from pathlib import Path

import pytest
from scratch_project import ROOT, attempt, commit, copy_project, run

OTHER = "another code's words"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second checkout, not installed, in which the stage `config` ends with other words."""
    folder = copy_project(tmp_path_factory.mktemp("second"))
    path = folder / "src/unitmean/pipeline/stages/config.py"
    text = path.read_text()
    changed = text.replace('return "params.yaml is in step with conf/"', f'return "{OTHER}"')
    assert changed != text
    path.write_text(changed)
    commit(folder)
    return folder


def test_a_stage_runs_the_code_beside_it(project: Path) -> None:
    command = [sys.executable, "-m", "unitmean.pipeline.stages.config"]
    assert OTHER in run(project, *command).stdout
    below = project / "docs"
    below.mkdir(exist_ok=True)
    assert OTHER in run(below, *command).stdout


def test_without_code_of_its_own_a_project_runs_what_is_installed(project: Path, tmp_path: Path) -> None:
    for name in ("conf", "dvc.yaml", "params.yaml"):
        (tmp_path / name).symlink_to(project / name)
    result = run(tmp_path, sys.executable, "-m", "unitmean.pipeline.stages.config")
    assert OTHER not in result.stdout and "in step" in result.stdout


def test_a_temporary_experiment_runs_the_code_that_it_records(project: Path) -> None:
    result = run(project, "dvc", "exp", "run", "--temp", "config")
    assert OTHER in result.stdout


@pytest.mark.parametrize("command", ["configure", "repro"])
def test_the_command_of_another_checkout_is_refused(project: Path, command: str) -> None:
    result = attempt(project, sys.executable, "-m", "unitmean", command)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert str(project / "src") in result.stderr and str(ROOT / "src") in result.stderr


def test_python_that_heeds_no_path_is_refused(project: Path) -> None:
    result = attempt(project, sys.executable, "-I", "-m", "unitmean.pipeline.stages.config")
    assert result.returncode == 1 and "must run the code in its own folder" in result.stderr
