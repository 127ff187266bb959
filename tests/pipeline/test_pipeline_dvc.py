"""DVC and Hydra together, in a scratch copy of the project."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from pipeline.test_pipeline_reruns import reruns
from scratch_project import ROOT, attempt, commit, copy_project, replace_commands, run

from unitmean.pipeline.commands.configure import configure
from unitmean.pipeline.config.conf_sha import conf_sha
from unitmean.pipeline.config.pipeline import read_pipeline

METRICS = [f"data/vgg19/{name}.json" for name in ("audit", "rescale", "invariance", "transfer")]


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
    # What was written is ignored by git, but for the figures that it keeps; DVC wrote no .gitignore.
    written = run(project, "git", "status", "--porcelain", "--untracked-files=all").stdout.split()[1::2]
    assert written == [*sorted(METRICS), "dvc.lock"]


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


@pytest.mark.parametrize("with_remote", [False, True])
def test_figures_of_two_revisions_are_compared(project: Path, tmp_path: Path, with_remote: bool) -> None:
    """What .github/workflows/metrics.yml does, in a clone whose cache is empty."""
    base = copy_project(tmp_path / "base")
    replace_commands(base)
    if with_remote:
        run(base, "dvc", "remote", "add", "--default", "storage", str(tmp_path / "storage"))
    run(base, "dvc", "repro")
    commit(base)
    if with_remote:
        run(base, "dvc", "push")
    run(tmp_path, "git", "clone", "--quiet", str(base), "clone")
    clone = tmp_path / "clone"
    configure(clone, ["transfer.steps=5"])
    options = ["--pull", "--allow-missing"] if with_remote else []
    again = ran(run(clone, "dvc", "repro", *options).stdout)
    unchanged = {"fetch_weights", "index_images", "collect_statistics", "rescale_weights"}
    assert "transfer_style" in again and (
        unchanged.isdisjoint(again) if with_remote else unchanged < set(again)
    )
    branch = run(clone, "git", "rev-parse", "--abbrev-ref", "origin/HEAD").stdout.strip()
    table = run(clone, "dvc", "metrics", "diff", branch, "--md").stdout
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if ".json" in line]
    assert "data/vgg19/transfer.json" in [row[1] for row in rows]
    for row in rows:  # a dash would stand where a revision has no figure
        assert all(float(cell) for cell in row[3:6]), table
    # (Without a remote every stage ran again, to other times: all four files differ.)
    assert len(rows) == (1 if with_remote else 4), table


def test_a_project_without_git_runs_and_says_so(project: Path, tmp_path: Path) -> None:
    copy = tmp_path / "unpacked"
    shutil.copytree(
        project, copy, ignore=shutil.ignore_patterns(".git", "data", "cache", "tmp", "config.local")
    )
    command = [sys.executable, "-m", "unitmean", "repro", "transfer.steps=3", "--", "config"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(copy / "src"))
        first, second = (run(copy, *command).stdout for _ in range(2))
    assert "no git repository here" in first and "no git repository here" not in second
    assert ran(first) == ["config"]


def test_line_ends_of_windows_leave_the_fingerprint(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    before = conf_sha(tmp_path / "conf")
    for path in (tmp_path / "conf").rglob("*.yaml"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert conf_sha(tmp_path / "conf") == before
