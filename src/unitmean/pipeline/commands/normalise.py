"""`unitmean normalise`: a weights file and photographs in, a normalised file out, by the pipeline itself."""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from unitmean.commands.typed import named_as_typed
from unitmean.disk.atomic import require_writable
from unitmean.errors import ConfigError, DataError
from unitmean.pipeline.commands.configure import configure
from unitmean.pipeline.commands.delivery import Delivery
from unitmean.pipeline.commands.exclusive import exclusive
from unitmean.pipeline.commands.init import definition, write_project
from unitmean.pipeline.commands.packages import require_packages
from unitmean.pipeline.commands.processes import status_of
from unitmean.pipeline.commands.repro import MAKE_AGAIN, QUIETLY, makes_weights, show
from unitmean.pipeline.config.choices import Device, Padding, Pooling, Statistic
from unitmean.pipeline.config.own_code import running_code
from unitmean.pipeline.config.pipeline import needed, read_pipeline
from unitmean.pipeline.config.unread import require_read
from unitmean.pipeline.disk.folders import bytes_below
from unitmean.pipeline.disk.remote import is_remote
from unitmean.pipeline.sources.weights import weights_sources
from unitmean.statistics.kinds import statistics

EPILOG = """\
The work is kept in a folder of ~/.cache/unitmean (or $XDG_CACHE_HOME), so that the same command goes on after
an interruption, and another statistic or another layout costs no second measurement.
"""
# Sources that need no more than their name.
NAMED = tuple(name for name, source in weights_sources().items() if not source.needs)


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
    overrides = _overrides(options)
    with named_as_typed(ARGUMENTS, f" in {WHERE} {' '.join(overrides)!r}"):
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
        if _run(project, _targets(options), handles):
            print(
                f"nothing was written to {str(options.out)!r}: see above. {_typed(options)}", file=sys.stderr
            )
            return 1
        name = _name_and_code(options.model)[0]
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
        *([(*QUIETLY, *MAKE_AGAIN)] if makes_weights(project) else []),
        (*QUIETLY, *targets),
    ):
        if status := status_of(command, cwd=project, env={**os.environ, "PATH": path}, pass_fds=handles):
            return status
    return 0


HUB = "hub"  # a folder rather than a layout
# Settings that the arguments WEIGHTS, PHOTOGRAPHS and --model stand for, whichever they are.
OWN = (
    "model",
    "model.name",
    "model.code",
    "weights",
    "weights.source",
    "weights.path",
    "dataset.source",
    "dataset.name",
    "preprocess",
    "exports",
    "experiment",
)
TARGETS = ("export_weights",)
HUB_TARGETS = (*TARGETS, "export_hub")


# How settings that the stages' errors name are given to this command.
ARGUMENTS = {
    "weights.path": "WEIGHTS",
    "dataset.path": "PHOTOGRAPHS",
    "model.name": "--model",
    "model.code": "--model",
    "dataset.subset": "--images",
    "weights.input": "--input",
}


def _typed(options: argparse.Namespace) -> str:
    """Which of these settings this call gave, and how others are given."""
    without = {"weights.path"} if _is_named(options.weights) else set()
    without |= set() if _name_and_code(options.model)[1] else {"model.code"}
    given = [f"{key} is {argument}" for key, argument in ARGUMENTS.items() if key not in without]
    return f"Here {', '.join(given)}; other settings are given by --set KEY=VALUE"


def _is_named(weights: str) -> bool:
    """Whether WEIGHTS names a source of weights rather than a file."""
    return weights in NAMED and not Path(weights).exists()


def _overrides(options: argparse.Namespace) -> list[str]:
    """The settings that the options stand for, as overrides of conf/."""
    name, code = _name_and_code(options.model)
    given = [f"model.name={name}", f"model.code={_quoted(code)}"] if code else [f"model={name}"]
    given += [f"model.pooling={options.pooling}", f"model.padding={options.padding}"]
    if _is_named(options.weights):
        given.append(f"weights={options.weights}")
    else:
        path = Path(options.weights).expanduser()
        if not path.is_file():
            raise ConfigError(
                f"WEIGHTS must be a file, or one of {', '.join(NAMED)}; found "
                f"{'a folder' if path.is_dir() else 'nothing'} at {options.weights!r}: correct it"
            )
        given += ["weights=file", f"weights.path={_quoted(str(path.resolve()))}"]
    if options.input:
        given.append(f"weights.input={options.input}")
    place = options.photographs
    if not is_remote(place):
        path = Path(place).expanduser()
        if not path.exists():
            raise DataError(
                f"PHOTOGRAPHS must be a folder or an archive; found nothing at {place!r}: correct it"
            )
        place = str(path.resolve())
    given += ["dataset=folder", f"dataset.path={_quoted(place)}"]
    given += [f"preprocess={options.preprocess}"] if options.preprocess else []
    given.append(f"dataset.subset={'null' if options.images is None else options.images}")
    given.append(f"rescale.statistic={options.statistic}")
    given.append(f"collect.histograms={str(statistics()[options.statistic].counted).lower()}")
    layouts = [name for name in options.export if name != HUB]
    given += [f"runtime.device={options.device}", f"rescale.exports=[{','.join(layouts)}]"]
    if HUB in options.export:
        given += ["hub.enabled=true", "transfer=none"]
    _require_free(options.set, [text.partition("=")[0] for text in given])
    _require_run(options.set, _targets(options))
    return [*given, *options.set]


def _name_and_code(model: str) -> tuple[str, str | None]:
    """model.name and model.code that --model stands for; ConfigError for code that isn't there."""
    file, colon, name = model.rpartition(":")
    if model.endswith(".py") or (colon and not name):
        raise ConfigError(
            f"--model must say which function of a Python file makes the network; found {model!r}: give "
            f"{model.removesuffix(':')}:NAME"
        )
    if not colon:
        return name, None
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise ConfigError(
            f"--model must be a network of torchvision, or FILE.py:NAME; found no file {file!r} in "
            f"{model!r}: correct it"
        )
    return name, str(path)


def _require_free(added: Iterable[str], given: Iterable[str]) -> None:
    """ConfigError where --set names what the command's own arguments set."""
    own = {*given, *OWN}
    for text in added:
        name, _, value = text.partition("=")
        name = name.lstrip("+")
        if "." not in name and value.startswith("{"):
            raise ConfigError(f"--set must set one key; found {text!r}: give its keys one by one, {name}.…=…")
        if name in own:
            raise ConfigError(
                f"--set must name a setting that no argument of its own sets; found {text!r}: "
                "use the argument (see --help), or a project of your own (`unitmean init`)"
            )


def _require_run(added: Iterable[str], targets: Iterable[str]) -> None:
    """ConfigError where --set names a key, or a group of keys, of stages that the targets don't need."""
    steps = read_pipeline(definition())
    run = needed(steps, targets)
    for text in added:
        name = text.partition("=")[0].lstrip("+")
        readers = [step for step in steps.values() if step.reads_of(name)]
        if readers and not any(step.reads_of(name) for step in run):
            raise ConfigError(
                f"--set must name a setting that this command reads; found {text!r}, which only "
                f"{' and '.join(step.name for step in readers)} would read, which it doesn't run: leave it "
                "out, or use a project of your own (`unitmean init`)"
            )


def _targets(options: argparse.Namespace) -> tuple[str, ...]:
    return HUB_TARGETS if HUB in options.export else TARGETS


def _quoted(value: str) -> str:
    """The value in quotes, so that Hydra takes all its characters literally."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _project(options: argparse.Namespace) -> Path:
    """The folder that belongs to these weights and photographs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute()
    named = _is_named(options.weights)
    weights = options.weights if named else str(Path(options.weights).expanduser().resolve())
    name, code = _name_and_code(options.model)
    model = f"{code}:{name}" if code else name
    identity = "\n".join([model, weights, str(Path(options.photographs).expanduser().absolute())])
    return cache / "unitmean" / hashlib.sha256(identity.encode()).hexdigest()[:16]
