"""What the arguments of `unitmean normalise` stand for: settings and stages of the pipeline."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from unitmean.errors import ConfigError, DataError
from unitmean.pipeline.commands.init import definition
from unitmean.pipeline.config.pipeline import needed, read_pipeline
from unitmean.pipeline.disk.remote import is_remote
from unitmean.pipeline.sources.weights import weights_sources
from unitmean.statistics.kinds import statistics

# Sources of weights that need no more than their name.
NAMED = tuple(name for name, source in weights_sources().items() if not source.needs)
HUB = "hub"  # among layouts to export: a folder
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
# How settings that the stages' errors name are given to this command.
ARGUMENTS = {
    "weights.path": "WEIGHTS",
    "dataset.path": "PHOTOGRAPHS",
    "model.name": "--model",
    "model.code": "--model",
    "dataset.subset": "--images",
    "weights.input": "--input",
}
# The same, and a phrase of theirs that would read oddly.
SAID = {"by model.code": "as in --model FILE.py:NAME", **ARGUMENTS}


def as_typed(options: argparse.Namespace) -> str:
    """Which of these settings this call gave, and how others are given."""
    without = {"weights.path"} if is_named(options.weights) else set()
    without |= set() if name_and_code(options.model)[1] else {"model.code"}
    given = [f"{key} is {argument}" for key, argument in ARGUMENTS.items() if key not in without]
    return f"Here {', '.join(given)}; other settings are given by --set KEY=VALUE"


def is_named(weights: str) -> bool:
    """Whether WEIGHTS names a source of weights rather than a file."""
    return weights in NAMED and not Path(weights).exists()


def overrides_of(options: argparse.Namespace) -> list[str]:
    """The settings that the options stand for, as overrides of conf/."""
    name, code = name_and_code(options.model)
    given = [f"model.name={name}", f"model.code={_quoted(code)}"] if code else [f"model={name}"]
    given += [f"model.pooling={options.pooling}", f"model.padding={options.padding}"]
    if is_named(options.weights):
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
    _require_run(options.set, targets_of(options))
    return [*given, *options.set]


def name_and_code(model: str) -> tuple[str, str | None]:
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


def targets_of(options: argparse.Namespace) -> tuple[str, ...]:
    """The stages that are run, with what they need."""
    return ("export_weights", "export_hub") if HUB in options.export else ("export_weights",)


def _quoted(value: str) -> str:
    """The value in quotes, so that Hydra takes all its characters literally."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
