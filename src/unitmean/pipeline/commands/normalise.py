"""`unitmean normalise`: a weights file and photographs in, a normalised file out, by the pipeline itself."""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from unitmean.commands.typed import named_as_typed
from unitmean.disk.atomic import require_writable
from unitmean.pipeline.commands.configure import configure
from unitmean.pipeline.commands.delivery import Delivery
from unitmean.pipeline.commands.exclusive import exclusive
from unitmean.pipeline.commands.init import definition, write_project
from unitmean.pipeline.commands.normalise_settings import (
    HUB,
    NAMED,
    SAID,
    as_typed,
    is_named,
    name_and_code,
    overrides_of,
    targets_of,
)
from unitmean.pipeline.commands.packages import require_packages
from unitmean.pipeline.commands.processes import status_of
from unitmean.pipeline.commands.repro import MAKE_AGAIN, QUIETLY, runs_code, show
from unitmean.pipeline.config.choices import Device, Padding, Pooling, Statistic
from unitmean.pipeline.config.own_code import running_code
from unitmean.pipeline.config.unread import require_read
from unitmean.pipeline.disk.folders import bytes_below

EPILOG = """\
The work is kept in a folder of ~/.cache/unitmean (or $XDG_CACHE_HOME), so that the same command goes on after
an interruption, and another statistic or another layout costs no second measurement.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("weights", metavar="WEIGHTS", help=f"a weights file, or one of {', '.join(NAMED)}")
    parser.add_argument(
        "photographs", metavar="PHOTOGRAPHS", help="a folder or archive of them, or its address"
    )
    parser.add_argument("-o", "--out", required=True, type=Path, help="the safetensors file to write")
    parser.add_argument(
        "--model",
        default="vgg19",
        help="a network of torchvision (vgg19), or FILE.py:NAME, a function of your own that makes one",
    )
    parser.add_argument("--images", type=int, help="measure so many, drawn in hash order (default: all)")
    parser.add_argument(
        "--preprocess", help="gatys2016 (warp to 224; default, unless the model has its own) or torchvision"
    )
    parser.add_argument(
        "--input",
        help="caffe, torchvision or unit (RGB in [0, 1]): what weights expect whose file doesn't say",
    )
    parser.add_argument("--pooling", choices=[p.name for p in Pooling], default="max")
    parser.add_argument("--padding", choices=[p.name for p in Padding], default="zeros")
    parser.add_argument(
        "--statistic", choices=[s.name for s in Statistic], default="mean", help="what is to be one"
    )
    parser.add_argument("--device", choices=[d.name for d in Device], default="auto")
    parser.add_argument(
        "--export",
        nargs="+",
        default=[],
        metavar="LAYOUT",
        help="files for other programs, or hub",
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="any other setting of the pipeline"
    )


def run(options: argparse.Namespace) -> int:
    """Run the pipeline up to its proof in a folder of its own; copy what was proved."""
    # Imported here, since Hydra takes a second, for which `--help` shouldn't wait.
    from unitmean.pipeline.config.compose import WHERE, as_values, compose

    delivery = Delivery(options.out, Path(options.weights).expanduser(), hub=HUB in options.export)
    delivery.require_possible()
    overrides = overrides_of(options)
    with named_as_typed(SAID, f" in {WHERE} {' '.join(overrides)!r}"):
        # Refuses what is wrong before anything is written.
        values = as_values(compose(definition(), overrides))
        require_read(
            [text.partition("=")[0] for text in options.set], values, f"--set {' '.join(options.set)!r}"
        )
    require_packages(values)
    require_writable(options.out)
    project = _project(options)
    project.mkdir(parents=True, exist_ok=True)
    with exclusive(project) as handles:
        write_project(project, code=running_code())  # another version's files must not stay
        configure(project, overrides)
        if _run(project, targets_of(options), handles):
            told = f"nothing was written to {str(options.out)!r}: see above."
            print(told, as_typed(options), file=sys.stderr)
            return 1
        name = name_and_code(options.model)[0]
        folder = project / "data" / name
        written = delivery.write(folder, name)
        show(folder)
        kept = bytes_below(project)
    print(f"written: {' and '.join(map(str, written))}")
    print(f"kept for the same command again: {kept / 1e6:,.0f} MB in {str(project)!r}, which you may delete")
    if delivery.hub:
        print(f"upload the folder with `hf upload OWNER/NAME {delivery.hub_folder}`")
    return 0


def _run(project: Path, targets: Iterable[str], handles: tuple[int, ...]) -> int:
    """DVC's exit status; it keeps the project by the `handles`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    for command in (
        (sys.executable, "-m", "dvc", "config", "--local", "core.no_scm", "true"),
        *([(*QUIETLY, *MAKE_AGAIN)] if runs_code(project) else []),
        (*QUIETLY, *targets),
    ):
        if status := status_of(command, cwd=project, env={**os.environ, "PATH": path}, pass_fds=handles):
            return status
    return 0


def _project(options: argparse.Namespace) -> Path:
    """The folder that belongs to these weights and photographs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute()
    named = is_named(options.weights)
    weights = options.weights if named else str(Path(options.weights).expanduser().resolve())
    name, code = name_and_code(options.model)
    model = f"{code}:{name}" if code else name
    identity = "\n".join([model, weights, str(Path(options.photographs).expanduser().absolute())])
    return cache / "unitmean" / hashlib.sha256(identity.encode()).hexdigest()[:16]
