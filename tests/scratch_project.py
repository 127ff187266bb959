"""A copy of the project in a folder of its own, in which tests may run DVC."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import yaml

from unitmean.pipeline.config.compose import compose

ROOT = Path(__file__).resolve().parents[1]


def copy_settings(folder: Path) -> Path:
    """conf/, dvc.yaml and the default params.yaml, whatever this checkout's says."""
    _copy(folder, "conf", "dvc.yaml")
    (folder / "params.yaml").write_text(composed())
    return folder


@cache
def composed(*overrides: str) -> str:
    """params.yaml under overrides, composed once: conf/ is the same in every copy."""
    return compose(ROOT, overrides)


def copy_project(folder: Path) -> Path:
    """The project without its data, as a git repository with one commit."""
    copy_settings(folder)
    _copy(folder, "hydra_plugins", "src", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore")
    _copy(folder, ".dvc/plots")
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "config", "user.name", "test")
    run(folder, "git", "config", "user.email", "test@localhost")
    commit(folder)
    return folder


def _copy(folder: Path, *names: str) -> None:
    for name in names:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, target)


def commit(folder: Path) -> None:
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--allow-empty", "--message", "state")


def replace_commands(folder: Path) -> None:
    """Let every stage but `config` only write its outputs, with other contents every time."""
    path = folder / "dvc.yaml"
    pipeline = yaml.safe_load(path.read_text())
    for name, stage in pipeline["stages"].items():
        if name != "config":
            metrics = [path for metric in stage.get("metrics", []) for path in metric]
            outs = [*stage.get("outs", []), *metrics]
            files = [out if Path(out).suffix else f"{out}/file" for out in outs]
            parents = sorted({str(Path(file).parent) for file in files})
            # Each file holds a figure, as a metric must; no two runs write the same.
            figure = """echo '{"value": '$(date +%s%N)'}'"""
            stage["cmd"] = f"mkdir -p {' '.join(parents)} && {figure} | tee {' '.join(files)}"
            # The real modules' files may be listed before they exist; here only the graph counts.
            stage["deps"] = [dep for dep in stage["deps"] if not dep.startswith("src/")]
    path.write_text(yaml.safe_dump(pipeline, sort_keys=False))


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """The command's outcome in `folder`; it must succeed."""
    result = attempt(folder, *command)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def attempt(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """The command's outcome in `folder`; `python` and `dvc` are this environment's."""
    if command[0] == "dvc":
        command = (sys.executable, "-m", *command)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "PATH": path, "DVC_SITE_CACHE_DIR": str(folder / ".dvc" / "tmp" / "site")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
