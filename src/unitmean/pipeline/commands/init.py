"""`unitmean init`: the pipeline as a new project of one's own."""

import argparse
import re
import shutil
import subprocess
from pathlib import Path

from unitmean import __version__
from unitmean.disk.atomic import write_text
from unitmean.errors import ConfigError
from unitmean.pipeline.config.own_code import PINNED
from unitmean.pipeline.disk.folders import filling_folder

TEMPLATE = Path(__file__).resolve().parents[1] / "template"
CHECKOUT = Path(__file__).resolve().parents[4]
# What a project has from a checkout; setup.py puts the same into a wheel.
FILES = ("conf", "dvc.yaml", "hydra_plugins", "data/README.md", ".dvcignore", ".dvc/config", ".dvc/plots")
# The metrics of a run are kept in git, everything else that stages write is not.
IGNORED = """\
/data/*
!/data/README.md
!/data/*/
/data/*/*
!/data/*/audit.json
!/data/*/rescale.json
!/data/*/invariance.json
!/data/*/transfer.json
/.partial/
/dvc_plots/
__pycache__/
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", metavar="FOLDER", type=Path, help="where the project will be: new, or empty"
    )


def run(options: argparse.Namespace) -> int:
    """Write the project, make it a git repository unless it lies in one, say what comes next."""
    folder: Path = options.folder
    if folder.is_symlink() and not folder.exists():
        raise ConfigError(
            f"FOLDER must be new or empty; found a link to nothing at {str(folder)!r}: name another"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"FOLDER must be new or empty; found {'files in it' if folder.is_dir() else 'a file'} at "
            f"{str(folder)!r}: name another"
        )
    with filling_folder(folder.absolute()) as new:
        write_project(new)
    _begin_repository(folder)
    first = "" if folder.resolve() == Path.cwd() else f"cd {folder}, then "
    print(f"{folder} is ready: {first}unitmean repro [OVERRIDES]; unitmean configure --help has more")
    return 0


def write_project(folder: Path, code: str = "") -> None:
    """The pipeline's files, without code of their own: the stages are those of the installed package.

    What an earlier version wrote is replaced. `code`: a digest of the package's code, on which the stages
    depend as they do on its version.
    """
    source = definition()
    for name in FILES:
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(source / name, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source / name, copy)
    # Another version of the package is other code, so that every stage depends on this file instead of src/.
    pinned = f"unitmean[pipeline]=={__version__}\n" + (f"# its code: {code}\n" if code else "")
    (folder / PINNED).write_text(pinned, encoding="utf-8")
    path = folder / "dvc.yaml"
    path.write_text(without_code(path.read_text(encoding="utf-8")), encoding="utf-8")
    (folder / ".gitignore").write_text(IGNORED, encoding="utf-8")
    (folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n", encoding="utf-8")
    workflow = folder / ".github" / "workflows" / "metrics.yml"
    workflow.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(TEMPLATE / "metrics.yml", workflow)
    shutil.copy(TEMPLATE / "README.md", folder / "README.md")
    # Imported here, since Hydra takes a second, for which `--help` shouldn't wait.
    from unitmean.pipeline.config.compose import compose

    if not (folder / "params.yaml").exists():
        write_text(folder / "params.yaml", compose(folder))


def without_code(pipeline: str) -> str:
    """dvc.yaml's text with `PINNED` in place of each stage's entries in src/."""
    return re.sub(r"src/[^,\]]*(?:,\s+src/[^,\]]*)*", PINNED, pipeline)


def definition() -> Path:
    """The folder with the pipeline's own conf/ and dvc.yaml: the wheel's copy, or the checkout."""
    for folder in (TEMPLATE / "project", CHECKOUT):
        if (folder / "dvc.yaml").is_file():
            return folder
    raise ConfigError(
        f"the package must carry the pipeline's definition; found none in {str(TEMPLATE)!r}: install it again"
    )


def _begin_repository(folder: Path) -> None:
    inside = any((parent / ".git").exists() for parent in folder.resolve().parents)
    if not inside and shutil.which("git"):
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
