"""dvc.yaml as data: the one place that spells paths and lists each stage's parameters."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from unitmean.errors import ConfigError

TEMPLATE = re.compile(r"\$\{([\w.]+)\}")


@dataclass(frozen=True)
class Step:
    """One stage of dvc.yaml: its paths, and its parameters as `section.key`.

    A stage that has params.yaml itself among its deps has `*`, which stands for all parameters.
    """

    name: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: tuple[str, ...]

    def reads_of(self, name: str) -> bool:
        """Whether it declares the key `section.key` of that name, or any of the section of that name."""
        return any(key == name or key.startswith(f"{name}.") for key in self.params)

    def reads(self, section: str, key: str) -> bool:
        """Whether dvc.yaml declares this parameter for the stage."""
        return not {"*", f"{section}.{key}"}.isdisjoint(self.params)


def read_pipeline(root: Path, values: Mapping[str, Any] | None = None) -> dict[str, Step]:
    """The stages of dvc.yaml by name; `values` fill in `${section.key}`, which otherwise stays."""
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {name: _step(name, stage, values) for name, stage in stages.items()}


def needed(steps: Mapping[str, Step], targets: Iterable[str]) -> list[Step]:
    """The targets and all stages whose outputs they need, directly or not."""
    maker = {path: step for step in steps.values() for path in step.outs}
    found: dict[str, Step] = {}
    left = [steps[name] for name in targets]
    while left:
        step = left.pop()
        if step.name not in found:
            found[step.name] = step
            left += [maker[path] for path in step.deps if path in maker]
    return list(found.values())


def _step(name: str, stage: Mapping[str, Any], values: Mapping[str, Any] | None) -> Step:
    deps = _paths(stage.get("deps", []))
    outs = [path for kind in ("outs", "metrics", "plots") for path in _paths(stage.get(kind, []))]
    return Step(
        name,
        deps=tuple(_fill(path, values) for path in deps),
        outs=tuple(_fill(path, values) for path in outs),
        params=("*",) if "params.yaml" in deps else tuple(stage.get("params", [])),
    )


def _paths(entries: list[Any]) -> list[str]:
    # An entry is a path, or a mapping of a path to its options.
    return [path for entry in entries for path in ([entry] if isinstance(entry, str) else list(entry))]


def _fill(path: str, values: Mapping[str, Any] | None) -> str:
    if values is None:
        return path

    def value(match: re.Match[str]) -> str:
        section, _, key = match[1].partition(".")
        content = values.get(section)
        if not isinstance(content, Mapping) or not isinstance(content.get(key), str):
            raise ConfigError(
                f"params.yaml must hold {match[1]}, which dvc.yaml's paths use; found {section} {content!r}: "
                "run `unitmean configure`"
            )
        return str(content[key])

    return TEMPLATE.sub(value, path)
