"""What one stage may read of params.yaml: the keys that dvc.yaml declares for it, and no other.

A result then depends on nothing that DVC doesn't track, so it can't be stale without DVC's noticing.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from unitmean.errors import ConfigError
from unitmean.pipeline.config.check import Values, check_section, check_value
from unitmean.pipeline.config.keys import keys, require_known, sections
from unitmean.pipeline.config.pipeline import Step


class Section(Mapping[str, Any]):
    """The declared keys of one section, read-only, as attributes or as a mapping."""

    def __init__(self, stage: str, name: str, values: Mapping[str, Any]) -> None:
        self._stage, self._name, self._values = stage, name, dict(values)

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_"):  # copy and pickle ask for these before __init__ has run
            raise AttributeError(key)
        if key not in self._values:
            raise _undeclared(self._stage, f"{self._name}.{key}")
        return self._values[key]

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"{self._name}({', '.join(f'{key}={value!r}' for key, value in self._values.items())})"


class Params(Mapping[str, Section]):
    """The declared sections of one stage: `params.collect.batch_size`."""

    def __init__(self, stage: str, values: Mapping[str, Mapping[str, Any]]) -> None:
        self._stage = stage
        self._sections = {name: Section(stage, name, content) for name, content in values.items()}

    def __getattr__(self, name: str) -> Section:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._sections:
            raise _undeclared(self._stage, name)
        return self._sections[name]

    def __getitem__(self, name: str) -> Section:
        return self._sections[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sections)

    def __len__(self) -> int:
        return len(self._sections)

    def __repr__(self) -> str:
        return f"Params({', '.join(map(repr, self._sections.values()))})"


def read_params(path: Path) -> dict[str, Any]:
    """params.yaml as it stands, unchecked but for being a mapping."""
    try:
        values = OmegaConf.to_container(OmegaConf.load(path))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path.name} must exist; found none in {str(path.parent)!r}: run `unitmean configure`"
        ) from error
    except (YAMLError, OmegaConfBaseException, OSError, UnicodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path.name} must be YAML; found {reason!r}: run `unitmean configure`") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path.name} must hold sections; found {values!r}: run `unitmean configure`")
    return {str(section): content for section, content in values.items()}


def declared(step: Step, values: Mapping[str, Any], where: str) -> Params:
    """The keys of `values` that dvc.yaml declares for `step`, each checked against the schema."""
    seen: Values = {}
    for name in step.params:
        if name in sections():
            raise ConfigError(
                f"dvc.yaml must list single keys, since DVC ignores some keys of a section; found "
                f"{name!r} in the params of {step.name}: list what it reads of {name}, key by key"
            )
        if name != "*":
            require_known(name, f"dvc.yaml's params of {step.name}")
    if "*" in step.params:
        for section in values:
            require_known(section, where)
    for section in sections():
        names = [key for key in keys(section) if step.reads(section, key)]
        if names:
            content = check_section(section, values.get(section), where)
            for key in content:  # first, because a misspelt key is a missing one too
                require_known(f"{section}.{key}", where)
            seen[section] = {
                key: check_value(section, key, _get(content, section, key, where), where) for key in names
            }
    return Params(step.name, seen)


def _get(content: Mapping[str, Any], section: str, key: str, where: str) -> Any:
    if key not in content:
        raise ConfigError(f"{where} must hold {section}.{key}; found no such key: run `unitmean configure`")
    return content[key]


def _undeclared(stage: str, name: str) -> ConfigError:
    return ConfigError(
        f"a stage may read only the parameters that dvc.yaml declares for it; found {stage} reading "
        f"{name!r}: add {name} to the params of {stage} in dvc.yaml"
    )
