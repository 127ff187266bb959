"""What the types of the schema can't say: ranges, the forms of texts, and keys that need each other."""

import re
from collections.abc import Mapping
from typing import Any

from unitmean.errors import ConfigError
from unitmean.pipeline.config.keys import convert, expected, keys, limits, require_known, sections
from unitmean.pipeline.config.registries import image_sources, statistics, weights_sources

Values = dict[str, dict[str, Any]]


SMALLEST = 32  # longer side in pixels: pooling leaves nothing of smaller pictures
# Lists of what an audit tries.
NOT_EMPTY = ("audit.resizes", "audit.paddings", "audit.poolings")
# They name folders under data/, in dvc.yaml and on disk.
NAMES = ("model.name", "dataset.name")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

# What the texts of some keys must look like, in words and as an expression.
FORMS = {
    "weights.sha256": ("a sha256 or its first 8 or more hex digits", r"[0-9a-fA-F]{8,64}"),
    "dataset.digest": (
        "a sha256 or its first 8 or more hex digits, or md5: and 32 of them",
        r"[0-9a-fA-F]{8,64}|md5:[0-9a-fA-F]{32}",
    ),
    "model.code": ("a Python file, whose name ends in .py", r".+\.py"),
    "hub.licence": ("a licence's identifier, such as cc-by-4.0", r"[A-Za-z0-9][A-Za-z0-9.+-]*"),
    "hub.base_model": ("a name on the hub, owner/name", r"[\w.-]+/[\w.-]+"),
    "weights.url": ("an address that begins with http:// or https://", r"https?://.+"),
    "dataset.url": ("an address that begins with http:// or https://", r"https?://.+"),
}

# By section, what its key `source` may be.
SOURCES = {"weights": weights_sources(), "dataset": image_sources()}


def check_value(section: str, key: str, value: Any, where: str) -> Any:
    """`value` in the key's type and within its range; ConfigError names `where` it stood."""
    value = convert(section, key, value, where)
    name = f"{section}.{key}"
    if value == "":  # what a shell makes of key=$VARIABLE that is not set
        raise ConfigError(
            f"{name} must not be empty; found {value!r} in {where}: give a text, or null for none"
        )
    if name in NOT_EMPTY and not value:
        raise ConfigError(
            f"{name} must list at least one; found {value!r} in {where}: give {expected(section, key)}, "
            "or leave it out for all"
        )
    limit = limits(section, key)
    if limit is not None and value is not None and value not in limit:
        raise ConfigError(f"{name} must be {limit}; found {value!r} in {where}: mend it there")
    if name in NAMES and not NAME.fullmatch(value):
        raise ConfigError(
            f"{name} must be a name of letters, digits, '.', '_' and '-'; found {value!r} in {where}: "
            "choose another name"
        )
    if name in FORMS and value is not None and not re.fullmatch(FORMS[name][1], value):
        raise ConfigError(f"{name} must be {FORMS[name][0]}; found {value!r} in {where}: mend it there")
    return value


def check_section(section: str, values: Any, where: str) -> Mapping[str, Any]:
    """`values`, if it is a mapping as a section must be."""
    if not isinstance(values, Mapping):
        # `dvc exp run --no-hydra -S model=vgg16` puts the text in the section's place.
        choice = (
            f" {section}={values}` and leave out --no-hydra where you used it"
            if isinstance(values, str)
            else "`"
        )
        raise ConfigError(
            f"{section} must be a section of keys; found {values!r} in {where}: "
            f"run `unitmean configure{choice}"
        )
    return values


def check(values: Any, where: str) -> Values:
    """All of params.yaml, typed: every key known, present, in its range, and given where needed."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must hold sections; found {values!r}: run `unitmean configure`")
    for section, content in values.items():
        require_known(str(section), where)
        for key in check_section(section, content, where):
            require_known(f"{section}.{key}", where)
    checked: Values = {}
    for section in sections():
        content = values.get(section, {})
        for key in keys(section):
            if key not in content:
                raise ConfigError(
                    f"{where} must hold {section}.{key}; found no such key: run `unitmean configure`"
                )
        checked[section] = {key: check_value(section, key, content[key], where) for key in keys(section)}
    _check_together(checked, where)
    return checked


def _check_together(values: Values, where: str) -> None:
    for section in SOURCES:
        _check_source(section, values[section], where)
    if values["weights"]["source"] == "code" and values["model"]["code"] is None:
        raise ConfigError(
            f"model.code must be given with weights.source=code; found None in {where}: add "
            "model.code=FILE.py and model.name, the function there that makes the network"
        )
    statistic = values["rescale"]["statistic"]
    if statistics()[statistic].counted and not values["collect"]["histograms"]:
        raise ConfigError(
            f"collect.histograms must be true with rescale.statistic={statistic}; found False in {where}: "
            "add collect.histograms=true"
        )
    if values["collect"]["histograms"] and values["collect"]["precision"] == "float16":
        raise ConfigError(
            f"collect.precision must not be float16 with collect.histograms=true; found float16 in {where}: "
            "histograms can't be multiplied back from its range, measure in float32 or tf32"
        )
    if values["collect"]["histograms"] and values["collect"]["correct"]:
        raise ConfigError(
            f"collect.correct must be false with collect.histograms=true; found True in {where}: "
            "histograms can't be corrected, measure in float32"
        )
    dataset = values["dataset"]
    whole = "count" if dataset["source"] == "generated" else "expected"
    if None not in (dataset["subset"], dataset[whole]) and dataset["subset"] > dataset[whole]:
        raise ConfigError(
            f"dataset.subset must be at most dataset.{whole}={dataset[whole]}; found {dataset['subset']} in "
            f"{where}: lower it, or add dataset.subset=null for all"
        )
    # A shift, since 2**scales takes for ever where somebody asks for a billion.
    smallest = values["transfer"]["pixels"] >> (values["transfer"]["scales"] - 1)
    if smallest < SMALLEST:
        raise ConfigError(
            f"transfer.pixels must leave {SMALLEST} pixels at the coarsest of transfer.scales; found "
            f"{values['transfer']['pixels']} and {values['transfer']['scales']}, which leave {smallest}, "
            f"in {where}: raise the pixels or take fewer scales"
        )
    pixels, crop = values["preprocess"]["pixels"], values["preprocess"]["crop"]
    if crop is not None and crop > pixels:
        raise ConfigError(
            f"preprocess.crop must be at most preprocess.pixels={pixels}; found {crop!r} in {where}: "
            "raise the pixels or lower the crop"
        )
    if crop is None and values["preprocess"]["resize"] == "shorter":
        raise ConfigError(
            f"preprocess.crop must be given with preprocess.resize=shorter; found None in {where}: add "
            f"preprocess.crop=…, at most preprocess.pixels={pixels}, or choose preprocess=torchvision"
        )


def _check_source(section: str, values: Mapping[str, Any], where: str) -> None:
    """ConfigError for a key that the source needs and lacks, and for one that is given but not read."""
    sources, default = SOURCES[section], sections()[section]()
    chosen = sources[values["source"]]
    for key in keys(section):
        readers = [name for name, source in sources.items() if key in (*source.needs, *source.reads)]
        if key in chosen.needs and not values[key]:
            raise ConfigError(
                f"{section}.{key} must be given with {section}.source={chosen.name}; found "
                f"{values[key]!r} in {where}: add {section}.{key}=…"
            )
        if readers and chosen.name not in readers and values[key] != getattr(default, key):
            raise ConfigError(
                f"{section}.{key} must be given only where it is read, with {section}.source="
                f"{' or '.join(readers)}; found {values[key]!r} with {section}.source={chosen.name} in "
                f"{where}: add {section}={readers[0]}, or leave {section}.{key} out"
            )
