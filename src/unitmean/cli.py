"""The command `unitmean`: compose conf/ into params.yaml, run the pipeline, show what came out."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unitmean.config.check import Values, check
from unitmean.config.params import read_params
from unitmean.config.project import find_root
from unitmean.disk.atomic import write_text
from unitmean.errors import ConfigError, UnitmeanError

# File, its keys and how the table calls them.
FIGURES = {
    "rescale.json": {
        "channels": "channels",
        "normalised": "channels normalised",
        "dead": "channels never active",
    },
    "invariance.json": {
        "float64_difference": "output difference, float64",
        "float32_ratio": "output difference, float32, against float32's own error",
        "max_mean_error": "largest distance of a channel mean from its target",
        "top1_agreement": "same top-1 class",
    },
    "transfer.json": {
        "plain_decrease": "style transfer: loss fell by, original weights",
        "normalised_decrease": "style transfer: loss fell by, normalised weights",
    },
}

EPILOG = """\
OVERRIDES are Hydra's: a group's choice (model=vgg16, +experiment=gatys2016) or a key's value
(dataset.subset=5000). What is not overridden is conf/'s default, whatever params.yaml said before;
to run params.yaml as it is, use `dvc repro`. Arguments behind -- go to `dvc repro`.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; its exit status, which is 1 after an error that the user can mend."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options = _parser().parse_args(arguments[:cut])
    try:
        root = find_root()
        if options.command == "repro":
            return repro(root, options.overrides, arguments[cut + 1 :])
        if arguments[cut:]:
            raise ConfigError(
                f"only `unitmean repro` takes arguments behind --; found {arguments[cut:]!r}: leave them out"
            )
        return (
            configure_check(root, options.overrides) if options.check else configure(root, options.overrides)
        )
    except UnitmeanError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing half-written was left; the same command goes on", file=sys.stderr)
        return 130


def configure(root: Path, overrides: Sequence[str]) -> int:
    """Compose conf/ with `overrides` and write params.yaml, if that changes it."""
    text, path = _compose(root, overrides), root / "params.yaml"
    if path.exists() and path.read_bytes() == text.encode():
        print("params.yaml is as composed", flush=True)
        return 0
    before = _values(path)
    write_text(path, text)
    changes = _changes(before, check(read_params(path), path.name))
    print(f"params.yaml written{': ' if changes else ''}{', '.join(changes)}", flush=True)
    return 0


def configure_check(root: Path, overrides: Sequence[str]) -> int:
    """0 if params.yaml is in step with conf/, or exactly what the overrides compose to; else ConfigError."""
    from unitmean.config.compose import as_values
    from unitmean.stages.config import require_in_step

    path = root / "params.yaml"
    text = _compose(root, overrides)
    checked = require_in_step(read_params(path), root / "conf")
    changes = _changes(check(as_values(text), path.name), checked)
    if overrides and path.read_bytes() != text.encode():
        raise ConfigError(
            f"params.yaml must be what {' '.join(overrides)!r} composes to; found "
            f"{', '.join(changes) or 'other bytes'}: "
            "run `unitmean configure` with the same overrides"
        )
    print(f"params.yaml is in step with conf/{' but for: ' if changes else ''}{', '.join(changes)}")
    return 0


def repro(root: Path, overrides: Sequence[str], dvc_arguments: Sequence[str]) -> int:
    """Write params.yaml, run `dvc repro`, show the figures; DVC's exit status."""
    configure(root, overrides)
    # The stages' commands say `python`: they must get this interpreter, and DVC its neighbours.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    command = [sys.executable, "-m", "dvc", "repro", *dvc_arguments]
    status = subprocess.run(command, cwd=root, env={**os.environ, "PATH": path}).returncode
    if status == 0:
        show(root / "data" / read_params(root / "params.yaml")["model"]["name"])
    return status


def show(folder: Path) -> None:
    """Print the figures in a model's folder and the path of its report."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    # Without a terminal there is no width to fit.
    console = console if console.is_terminal else Console(highlight=False, width=200)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right", style="bold")
    for file, names in FIGURES.items():
        for label, figure in _figures(folder / file, names):
            table.add_row(label, figure)
    console.print()
    if table.row_count:
        console.print(table)
    report = folder / "report.html"
    if report.exists():
        console.print(f"report: {os.path.relpath(report)}", soft_wrap=True)


def _figures(path: Path, names: Mapping[str, str]) -> list[tuple[str, str]]:
    if not path.exists():
        return []
    values = json.loads(path.read_text(encoding="utf-8"))
    # None: there is no such figure, as the top-1 class of a network without a head.
    return [(label, _number(values[key])) for key, label in names.items() if values.get(key) is not None]


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _compose(root: Path, overrides: Sequence[str]) -> str:
    # Hydra takes a second to import, which `unitmean --help` shouldn't.
    from unitmean.config.compose import compose

    return compose(root, overrides)


def _changes(before: Values | None, after: Values) -> list[str]:
    """`section.key=value` of `after` wherever it differs from `before`."""
    if before is None:
        return []
    return [
        f"{section}.{key}={value}"
        for section, content in after.items()
        for key, value in content.items()
        if section != "meta" and before[section][key] != value
    ]


def _values(path: Path) -> Values | None:
    """What params.yaml holds, or None if that is no configuration."""
    try:
        return check(read_params(path), path.name)
    except ConfigError:
        return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="unitmean", description="Normalised networks, reproducibly.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, words in {
        "repro": "compose conf/ into params.yaml, run the pipeline and show its figures",
        "configure": "compose conf/ into params.yaml",
    }.items():
        command = commands.add_parser(
            name,
            help=words,
            description=words,
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("overrides", nargs="*", metavar="OVERRIDES")
        if name == "configure":
            command.add_argument(
                "--check", action="store_true", help="write nothing; say whether params.yaml is in step"
            )
    return parser
