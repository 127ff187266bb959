"""`unitmean repro`: configure, `dvc repro`, and the figures that came out."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unitmean.console import console
from unitmean.pipeline.commands.configure import EPILOG, configure
from unitmean.pipeline.commands.exclusive import exclusive
from unitmean.pipeline.commands.figures import figures
from unitmean.pipeline.commands.packages import require_packages
from unitmean.pipeline.commands.processes import status_of
from unitmean.pipeline.config.own_code import require_own_code
from unitmean.pipeline.config.params import read_params
from unitmean.pipeline.config.project import find_root

# Arguments behind -- with which `dvc repro` still brings every stage up to date. After others the figures in
# the model's folder may be those of another run.
WHOLE = {"-f", "--force", "--pull", "--allow-missing", "--no-run-cache", "-q", "--quiet", "-v", "--verbose"}

QUIETLY = (sys.executable, "-m", "unitmean.pipeline.commands.quietly", "repro")
MAKE_AGAIN = ("--force", "fetch_weights")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        EPILOG + "To run params.yaml as it is, use `dvc repro`, which doesn't look whether "
        "files outside the project (weights, photographs) have changed. Arguments behind -- go to `dvc "
        "repro`."
    )
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDES")


def run(options: argparse.Namespace) -> int:
    """Write params.yaml, run `dvc repro`, show the figures; DVC's exit status."""
    root = find_root()
    require_own_code(root)
    with exclusive(root) as handles:
        return _repro(root, options, handles)


def _repro(root: Path, options: argparse.Namespace, handles: tuple[int, ...]) -> int:
    started = time.time()
    _allow_no_git(root)
    configure(root, options.overrides, to_run=True)
    require_packages(read_params(root / "params.yaml"))
    # The stages' commands begin with `python`, which must be this interpreter: its folder is first in PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    how: dict[str, Any] = {"cwd": root, "env": {**os.environ, "PATH": path}, "pass_fds": handles}
    repro, status = [sys.executable, "-m", "dvc", "repro"], 0
    if runs_code(root) and set(options.behind) <= WHOLE:
        status = status_of([*QUIETLY, *MAKE_AGAIN], **how)
    status = status or status_of([*repro, *options.behind], **how)
    if status and not (root / ".dvc").is_dir():
        print(f"DVC's folder .dvc is missing in {str(root)!r}: run `dvc init` there", file=sys.stderr)
    folder = root / "data" / read_params(root / "params.yaml")["model"]["name"]
    if status == 0 and set(options.behind) <= WHOLE:
        if not (folder / "normalised.safetensors").exists():
            print(
                f"note: nothing was computed here, and {folder.name}'s weights are not here: these are the "
                "figures that were recorded; `dvc pull` or a run without --allow-missing brings the files",
                flush=True,
            )
        show(folder)
        name_stand_ins(read_params(root / "params.yaml"))
        name_files(folder)
    elif any(_refused(folder / name, started) for name in ("proof.json", "transfer.json")):
        # DVC runs nothing behind a stage that failed; the report says what was found all the same.
        status_of([sys.executable, "-m", "unitmean.pipeline.stages.report"], cwd=root)
    return status


def runs_code(root: Path) -> bool:
    """Whether the user's own code makes the network: only to run it tells whether that is another one.

    Not for weights that would be downloaded again.
    """
    params = read_params(root / "params.yaml")
    return bool(params["model"]["code"] and params["weights"]["source"] in {"code", "file"})


def _allow_no_git(root: Path) -> None:
    """Let DVC run where there is no git repository, as in an unpacked archive; by itself it refuses."""
    if any((folder / ".git").exists() for folder in (root, *root.parents)):
        return
    command = [sys.executable, "-m", "dvc", "config", "--local", "core.no_scm"]
    known = subprocess.run(command, cwd=root, capture_output=True, text=True).stdout.strip()
    if known != "true":
        subprocess.run([*command, "true"], cwd=root, check=True)
        print(
            "no git repository here: DVC runs without one, and without experiments. For them run `git init` "
            "and `dvc config --local --unset core.no_scm`",
            flush=True,
        )


def _refused(figures: Path, started: float) -> bool:
    """Whether the figures of a proof or style transfer are newer than `started` and say that it failed."""
    fresh = figures.exists() and figures.stat().st_mtime >= started
    return fresh and json.loads(figures.read_text(encoding="utf-8")).get("passed") is False


def show(folder: Path) -> None:
    """Print the figures in a model's folder."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right", style="bold")
    for label, figure in figures(folder):
        table.add_row(label, figure)
    out = console()
    out.print()
    if table.row_count:
        out.print(table)


def name_stand_ins(params: Mapping[str, Mapping[str, Any]]) -> None:
    """Print whether the weights or the images were made up, which the figures don't show."""
    weights = "random weights (weights=seeded)" if params["weights"]["source"] == "seeded" else ""
    images = "generated images (dataset=generated)" if params["dataset"]["source"] == "generated" else ""
    if made_up := " and ".join(filter(None, [weights, images])):
        print(f"note: these are figures of {made_up}, which stand in for real ones", flush=True)


def name_files(folder: Path) -> None:
    """Print where the report lies and, if there is one, the folder for the hub."""
    here = Path(os.path.relpath(folder))
    if (folder / "report.html").exists():
        print(f"report: {here / 'report.html'}", flush=True)
    if (folder / "hub" / "README.md").exists():
        print(f"for the hub: {here / 'hub'}, by `hf upload OWNER/NAME {here / 'hub'}`", flush=True)
