"""The keys of the schema, and the values that each of them takes."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import fields, make_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unitmean.errors import ConfigError
from unitmean.pipeline.config.key import Range
from unitmean.pipeline.config.schema import Config

WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}


def sections() -> dict[str, type]:
    """The schema's class of each section, in the schema's order."""
    return get_type_hints(Config)


def keys(section: str) -> dict[str, Any]:
    """The type of each key of a section, in the schema's order."""
    return get_type_hints(sections()[section])


def meaning(section: str, key: str) -> str:
    """What the schema says that a key means; empty where its name and type say it."""
    return str(_metadata(section, key).get("help", ""))


def limits(section: str, key: str) -> Range | None:
    """The numbers that a key takes; None: any."""
    return _metadata(section, key).get("range")


def needs(section: str, key: str) -> dict[str, Any]:
    """Keys of the section, and the values (None: any but null) without which nothing reads this one.

    In a section that can be switched off, `enabled` is one of them.
    """
    switch = {"enabled": True} if "enabled" in keys(section) and key != "enabled" else {}
    own: dict[str, Any] = _metadata(section, key).get("needs", {})
    return switch | own


def all_keys() -> list[str]:
    """Every `section.key`."""
    return [f"{section}.{key}" for section in sections() for key in keys(section)]


def expected(section: str, key: str) -> str:
    """In words, what a key takes: `a whole number or null`, `one of max, avg`."""
    return _words(keys(section)[key])


def convert(section: str, key: str, value: Any, where: str) -> Any:
    """`value` as the key's type, as plain YAML (an enum's name); `where` names what it stood in.

    Raises ConfigError for a value of another type.
    """
    if isinstance(value, str) and "${" in value:
        found = "an interpolation, which nothing resolves here"
    else:
        node = OmegaConf.structured(_alone(section, key))
        try:
            node[key] = value
            # "???" is OmegaConf's word for a value still to be given, and of every type.
            plain = OmegaConf.to_container(node, enum_to_str=True, throw_on_missing=True)
            return plain[key]  # type: ignore[index, call-overload]
        except OmegaConfBaseException:
            found = f"{value!r}"
    raise ConfigError(
        f"{section}.{key} must be {expected(section, key)}; found {found} in {where}: mend it there"
    )


# DVC's cache of runs overlooks keys named "size", so there are none any more.
_PIXELS = ("dataset", "preprocess", "audit", "transfer")
RENAMED = {f"{section}.size": f"{section}.pixels" for section in _PIXELS}


def require_known(name: str, where: str) -> None:
    """Raise ConfigError, with close matches, unless `name` is a section or a `section.key` of the schema."""
    section, _, key = name.partition(".")
    if section not in sections():
        choices, matches = list(sections()), close(name, [*sections(), *all_keys()])
    elif key and key not in keys(section):
        choices, matches = list(keys(section)), close(name, all_keys())
    else:
        return
    hint = f"did you mean {' or '.join(matches)}?" if matches else f"choose from {', '.join(choices)}"
    raise ConfigError(f"every key must be one of the schema's; found {name!r} in {where}: {hint}")


def as_typed(value: Any) -> str:
    """A value as an override spells it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def close(name: str, choices: Iterable[str]) -> list[str]:
    """At most three of `choices` that look like `name`, in whichever case it is written."""
    every = {choice.lower(): choice for choice in choices}
    return [every[found] for found in difflib.get_close_matches(name.lower(), list(every), n=3, cutoff=0.7)]


@cache
def _metadata(section: str, key: str) -> Mapping[str, Any]:
    (found,) = (field for field in fields(sections()[section]) if field.name == key)
    return found.metadata


@cache
def _alone(section: str, key: str) -> type:
    """A schema of one key, as building that of the whole section for each key takes ten times as long."""
    return make_dataclass(section, [(key, keys(section)[key])])


def _words(kind: Any) -> str:
    if isinstance(kind, UnionType):
        return " or ".join(_words(part) for part in get_args(kind))
    if get_origin(kind) is list:
        return "a list, each item " + _words(get_args(kind)[0])
    if issubclass(kind, Enum):
        return "one of " + ", ".join(member.name for member in kind)
    return WORDS[kind]
