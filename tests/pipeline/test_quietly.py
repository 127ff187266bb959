"""DVC without a word, but for what goes wrong and nobody else says."""

import sys
from pathlib import Path

from scratch_project import attempt, copy_project, run

QUIETLY = [sys.executable, "-m", "unitmean.pipeline.commands.quietly", "repro", "config"]


def test_dvc_says_what_it_fails_at_and_leaves_the_rest_to_the_stages(tmp_path: Path) -> None:
    copy_project(tmp_path)
    found = run(tmp_path, *QUIETLY)
    assert found.stderr == "" and found.stdout.startswith("config ") and found.stdout.count("\n") == 1
    (tmp_path / "conf" / "weights" / "seeded.yaml").write_text("source: seeded\nseed: 2\n")
    failed = attempt(tmp_path, *QUIETLY)
    assert failed.returncode and failed.stderr.startswith("error: ") and failed.stderr.count("\n") == 1
    run(tmp_path, "git", "checkout", "--quiet", "conf")
    cache = tmp_path / "a-file"
    cache.write_text("where a folder should be")
    run(tmp_path, "dvc", "cache", "dir", str(cache))
    failed = attempt(tmp_path, *QUIETLY, "--force")
    assert failed.returncode and "ERROR: " in failed.stderr and "a-file" in failed.stderr


def test_a_stage_that_is_killed_could_not_say_so_itself(tmp_path: Path) -> None:
    copy_project(tmp_path)
    path = tmp_path / "dvc.yaml"
    command = "cmd: python -m unitmean.pipeline.stages.config\n"
    assert command in (text := path.read_text())
    path.write_text(text.replace(command, "cmd: kill -9 $$\n"))
    failed = attempt(tmp_path, *QUIETLY)
    assert failed.returncode and "failed to run: kill -9" in failed.stderr
