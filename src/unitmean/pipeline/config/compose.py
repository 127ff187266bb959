"""conf/ composed by Hydra, byte for byte what `dvc exp run -S` writes into params.yaml."""

import re
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from unitmean.errors import ConfigError, UnitmeanError
from unitmean.pipeline.config.check import check
from unitmean.pipeline.config.chosen import require_chosen
from unitmean.pipeline.config.explain import explained
from unitmean.pipeline.config.keys import RENAMED, close, keys, require_known, sections
from unitmean.pipeline.config.networks import NETWORKS
from unitmean.pipeline.config.registration import register
from unitmean.pipeline.config.schema import Meta
from unitmean.pipeline.config.unread import require_read

WHERE = "the overrides"


def compose(root: Path, overrides: Sequence[str] = ()) -> str:
    """The YAML text of conf/ under `root` composed with Hydra overrides, checked.

    Raises ConfigError for an unknown group, choice or key, a wrong type or a value out of its range.
    """
    conf = root / "conf"
    given, overrides = overrides, [_quoted(_renamed(text)) for text in overrides]
    parsed = [_parse(text) for text in overrides]
    for override in parsed:
        _check_override(conf, override)
    register(conf)
    try:
        with initialize_config_dir(str(conf), version_base=None):
            config = hydra_compose("config", overrides=list(overrides))
        _require_own(OmegaConf.to_container(config))
        OmegaConf.resolve(config)
    # Hydra raises a bare ValueError for a group's choice of the wrong type.
    except (HydraException, OmegaConfBaseException, ValueError, YAMLError) as error:
        if isinstance(error.__context__, UnitmeanError):  # of a file that a setting names
            raise error.__context__ from None
        raise ConfigError(explained(error, conf)) from error
    values: Any = OmegaConf.to_container(config, enum_to_str=True)
    typed = [*chain.from_iterable(map(_typed, parsed))]
    chosen = {name: str(o.value()) for o in parsed if (name := o.key_or_group) in groups(conf)}
    require_chosen(conf, chosen, typed, values)
    require_read(typed, check(values, _where(given)), _where(given))
    return OmegaConf.to_yaml(config)


def _require_own(config: Any) -> None:
    """ConfigError where conf/ holds no schema, or something sets what the composition itself writes."""
    for section in sections():
        for key in keys(section):
            if key not in config.get(section, {}):
                raise ConfigError(
                    f"conf/ must compose to every key of the schema; found no {section}.{key}: let the "
                    "defaults of conf/config.yaml begin with `- schema`"
                )
    for key, found in config["meta"].items():
        if found != getattr(Meta(), key):
            raise ConfigError(
                f"meta.{key} must be left to the composition, which computes it; found {found!r}, which "
                "conf/ or the overrides set: leave it out"
            )


def _typed(override: Override) -> list[str]:
    """The keys that an override sets one by one, each as `section.key`, or its group."""
    name, value = override.key_or_group, override.value()
    if "." not in name and isinstance(value, dict):
        return [f"{name}.{key}" for key in value]
    return [name]


def groups(conf: Path) -> dict[str, list[str]]:
    """The configuration groups and their choices: files in conf/'s folders, and torchvision's networks."""
    choices = {
        path.name: {file.stem for file in path.glob("*.yaml")} for path in conf.iterdir() if path.is_dir()
    }
    choices["model"] = choices.get("model", set()) | set(NETWORKS)
    return {name: sorted(choices[name]) for name in sorted(choices)}


def _renamed(text: str) -> str:
    """The override with a key's former name replaced by its present one, of which a note is printed."""
    name, equals, value = text.partition("=")
    plus, present = name.removesuffix(name.lstrip("+")), RENAMED.get(name.lstrip("+"))
    if present is None:
        return text
    print(f"note: {name.lstrip('+')} is called {present} now", file=sys.stderr)
    return f"{plus}{present}{equals}{value}"


def _quoted(text: str) -> str:
    """`dataset.path=/a=b` as `dataset.path='/a=b'`: all behind the first = is a text key's value."""
    name, equals, value = text.partition("=")
    section, _, key = name.lstrip("+").partition(".")
    takes_text = section in sections() and keys(section).get(key) in (str, str | None)
    if not (takes_text and value) or value == "null" or value[0] in "'\"":
        return text
    # Backslashes mean themselves, except before a quote.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"{name}{equals}'{escaped}'"


def _parse(text: str) -> Override:
    try:
        override: Override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        reason = str(error).splitlines()[0]
        hint = "put a value with special characters in quotes of its own, key='\"value\"'"
        if "=" not in text:
            reason = "no ="
            hint = f"did you mean model={text}?" if text in NETWORKS else "give it a value"
        raise ConfigError(
            f"an override must read key=value or group=choice; found {text!r} ({reason}): {hint}"
        ) from error
    return override


def _check_override(conf: Path, override: Override) -> None:
    name, text = override.key_or_group, override.input_line
    if override.is_sweep_override() or override.is_hydra_override():
        raise ConfigError(
            f"an override must set one value of this configuration; found {text!r}: "
            "for a sweep run `dvc exp run --queue -S …`"
        )
    if override.is_delete() or override.package is not None:
        raise ConfigError(
            f"an override must set a value; found {text!r}: keys can't be removed or moved, set null instead"
        )
    if name in groups(conf):
        _check_choice(groups(conf)[name], override)
    elif "." not in name and name not in sections():
        matches = close(name, groups(conf))
        hint = (
            f"did you mean {' or '.join(matches)}?"
            if matches
            else f"the groups are {', '.join(groups(conf))}"
        )
        raise ConfigError(f"a group must be one of conf/'s folders; found {name!r} in {text!r}: {hint}")
    elif "." not in name and not isinstance(override.value(), dict):
        named = ", ".join(f"{name}.{key}" for key in keys(name))
        raise ConfigError(f"{name} must be given key by key; found {text!r}: set one of {named}")
    else:
        require_known(name, repr(text))
        if override.is_add():
            raise ConfigError(f"{name} is in the schema already; found {text!r}: write it without the +")


def _check_choice(choices: list[str], override: Override) -> None:
    name, value, text = override.key_or_group, override.value(), override.input_line
    if name in sections() and override.is_add():
        raise ConfigError(f"the group {name} is chosen once; found {text!r}: write it without the +")
    if name not in sections() and not override.is_add():
        raise ConfigError(f"the group {name} is added to the others; found {text!r}: write +{text}")
    if str(value) not in choices:
        matches, listed = close(str(value), choices), ", ".join(choices)
        few = len(choices) < 12
        known = f"one of {listed}" if few else f"one of {len(choices)} choices"
        otherwise = "choose one of them" if few else f"choose from {listed}"
        hint = f"did you mean {' or '.join(matches)}?" if matches else otherwise
        if name == "model" and not matches:
            hint += "; for a network of your own name its file, too, by model.code"
        raise ConfigError(f"{name} must be {known}; found {value!r}: {hint}")


def _where(overrides: Sequence[str]) -> str:
    return f"{WHERE} {' '.join(overrides)!r}" if overrides else "conf/"


def as_values(text: str) -> dict[str, Any]:
    """The composed YAML text as plain values."""
    config = OmegaConf.create(text)
    assert isinstance(config, DictConfig)
    values = OmegaConf.to_container(config)
    assert isinstance(values, dict)
    return {str(section): keys for section, keys in values.items()}
