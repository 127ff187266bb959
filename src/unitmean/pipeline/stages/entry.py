"""Runs a stage: gives it what dvc.yaml declares for it, prints a line, sets the exit status."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import chdir
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

from unitmean.disk.atomic import remove
from unitmean.ending import ending_in_words
from unitmean.errors import ConfigError, DataError
from unitmean.pipeline.config.contents import require_recorded
from unitmean.pipeline.config.own_code import require_own_code
from unitmean.pipeline.config.params import Params, declared, read_params
from unitmean.pipeline.config.pipeline import Step, read_pipeline
from unitmean.pipeline.config.project import find_root


@dataclass(frozen=True)
class Run:
    """One run of one stage: its declared parameters and files."""

    stage: str
    params: Params
    deps: tuple[Path, ...]
    outs: tuple[Path, ...]
    later: tuple[Path, ...] = ()  # outputs of the stages that read what this one writes

    def dep(self, name: str) -> Path:
        """The declared input whose last component is `name`; DataError if nothing is there."""
        path = self._one(self.deps, name, "deps")
        if not path.exists():
            raise DataError(
                f"{self.stage} needs {str(path)!r}; found nothing there: run `dvc repro {self.stage}`, or by "
                "itself the stage that writes it, with the same overrides"
            )
        return path

    def out(self, name: str) -> Path:
        """The declared output whose last component is `name`."""
        return self._one(self.outs, name, "outs")

    def clear(self) -> None:
        """Remove what an earlier run wrote, as DVC does, lest a failed run's be taken for it."""
        for path in self.outs:
            remove(path, folder=not path.suffix)

    def withdraw(self, name: str) -> None:
        """Remove the folder of that name, which a later stage made from an earlier run's files."""
        remove(self._one(self.later, name, "outs of stages behind it"), folder=True)

    def _one(self, paths: tuple[Path, ...], name: str, kind: str) -> Path:
        found = [path for path in paths if path.name == name]
        if len(found) != 1:
            raise ConfigError(
                f"{self.stage} may open only what dvc.yaml declares for it; found {len(found)} {kind} named "
                f"{name!r}: declare one in dvc.yaml"
            )
        return found[0]


def prepare(name: str, overrides: Sequence[str] = ()) -> Run:
    """The run of stage `name`, with params.yaml or, given `overrides`, with conf/ composed with them.

    Its paths start at the project's root, where stages work.
    """
    root = find_root()
    require_own_code(root)
    if overrides:
        # Hydra takes time to import, and under DVC nothing is composed.
        from unitmean.pipeline.config.compose import as_values, compose

        values, where = as_values(compose(root, overrides)), "the overrides"
    else:
        values, where = read_params(root / "params.yaml"), "params.yaml"
    steps = read_pipeline(root, values)
    step = _find(steps, name)
    params = declared(step, values, where)
    require_recorded(params, root)
    behind = [other for other in steps.values() if not set(step.outs).isdisjoint(other.deps)]
    return Run(
        stage=name,
        params=params,
        deps=tuple(Path(path) for path in step.deps),
        outs=tuple(Path(path) for path in step.outs),
        later=tuple(Path(path) for other in behind for path in other.outs),
    )


def stage(function: Callable[[Run], str | None]) -> Callable[[], None]:
    """Make a program of a function: its name is the stage's, the text that it returns is printed."""

    name = function.__name__

    def work() -> int:
        started = time.monotonic()
        if {"-h", "--help"}.intersection(sys.argv[1:]):
            print(_help(name, function.__doc__ or ""))
        else:
            with chdir(find_root()):  # where DVC runs it, and where the settings' relative paths start
                summary = function(prepare(name, sys.argv[1:])) or ""
            print(f"{name}  {time.monotonic() - started:.1f} s  {summary}".rstrip(), flush=True)
        return 0

    @wraps(function)
    def program() -> None:
        if status := ending_in_words(name, work):
            sys.exit(status)

    return program


def _find(steps: dict[str, Step], name: str) -> Step:
    if name not in steps:
        raise ConfigError(
            f"{name} must be a stage of dvc.yaml; found {', '.join(steps)}: name the function like it"
        )
    return steps[name]


def _help(name: str, doc: str) -> str:
    step = _find(read_pipeline(find_root()), name)
    return "\n".join(
        [
            f"python -m unitmean.pipeline.stages.{name} [OVERRIDES…]",
            "",
            doc.strip(),
            "",
            "Without overrides it follows params.yaml, with overrides conf/ composed with them.",
            f"reads      {', '.join(path for path in step.deps if not path.startswith('src/'))}",
            f"writes     {', '.join(step.outs)}",
            f"parameters {', '.join(step.params)}",
        ]
    )
