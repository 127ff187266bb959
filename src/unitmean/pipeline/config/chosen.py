"""Choices of groups that somebody typed, and that another file of conf/ undoes."""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from unitmean.errors import ConfigError
from unitmean.pipeline.config.keys import as_typed, convert, keys, sections

PACKAGE = re.compile(r"\s*#\s*@package\s+(\S+)")


def require_chosen(
    conf: Path, choices: Mapping[str, str], typed: Collection[str], values: Mapping[str, Mapping[str, Any]]
) -> None:
    """ConfigError for a setting of a file that was chosen, which the composed `values` don't have.

    choices: by group the name of the file. typed: keys, as `section.key`, that were set one by one, and may
    well differ.
    """
    for group, choice in choices.items():
        path = conf / group / f"{choice}.yaml"
        for section, key, wanted in _settings(path, group) if path.is_file() else ():
            name, where = f"{section}.{key}", f"conf/{group}/{path.name}"
            found = convert(section, key, values[section][key], "conf/")
            if name not in typed and convert(section, key, wanted, where) != found:
                raise ConfigError(
                    f"{group}={choice} must take effect, which sets {name}={as_typed(wanted)}; found that "
                    f"another file of conf/ sets {as_typed(found)}, that of another choice or config.yaml: "
                    f"say which you want, {name}=…"
                )


def _settings(path: Path, group: str) -> Iterator[tuple[str, str, Any]]:
    """Section, key and value of all that a file sets itself, and that depends on nothing else."""
    package = next(filter(None, map(PACKAGE.match, path.read_text(encoding="utf-8").splitlines())), None)
    place = group if package is None or package[1] == "_group_" else package[1]
    content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    nested = content if place == "_global_" else {place: content}
    for section, inside in nested.items() if isinstance(nested, Mapping) else ():
        if section not in sections() or not isinstance(inside, Mapping):
            continue  # Hydra's own entries
        for key, value in inside.items():
            if key in keys(section) and value != "???" and "${" not in str(value):
                yield section, key, value
