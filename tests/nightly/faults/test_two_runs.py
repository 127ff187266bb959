"""Two `unitmean repro` at once in one project: one runs, the other says so and changes nothing."""

import os
import subprocess
import sys
import time
from pathlib import Path

from nightly.faults.fault_project import OVERRIDES, ROUNDS, Project, Tally, settings
from scratch_project import copy_project


def repro(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "unitmean", "repro", *OVERRIDES, *arguments],
        cwd=folder,
        env={
            **os.environ,
            "DVC_SITE_CACHE_DIR": str(folder / ".dvc/tmp/site"),
            "PYTHONPATH": str(folder / "src"),  # a project runs its own code
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_at_once(project: Project, tally: Tally, tmp_path: Path) -> None:
    """In the long form the whole pipeline runs, else two stages."""
    copy_project(tmp_path)
    settings(tmp_path)
    behind = [] if ROUNDS > 1 else ["--", "index_images"]
    first = repro(tmp_path, *behind)
    while first.poll() is None and not (tmp_path / "data/config.ok").exists():
        time.sleep(0.01)
    params = (tmp_path / "params.yaml").read_bytes()
    second = repro(tmp_path, "dataset.seed=1", *behind)
    tally.injected["two runs at once"] += 1
    said = second.communicate()[1]
    unchanged = first.poll() is None and (tmp_path / "params.yaml").read_bytes() == params
    out, err = first.communicate()
    assert first.returncode == 0, out + err
    assert second.returncode == 1 and unchanged
    assert said.startswith("error: one command at a time") and said.count("\n") == 1, said
    stages = project.outs if ROUNDS > 1 else ["index_images"]
    for name in (name for stage in stages for name in project.outs[stage]):
        assert (tmp_path / name).read_bytes() == (project.folder / name).read_bytes(), name
    tally.survived["two runs at once"] += 1
