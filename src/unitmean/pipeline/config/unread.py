"""Settings that somebody typed and nothing would read: asked for, and not done."""

from collections.abc import Collection, Mapping
from typing import Any

from unitmean.errors import ConfigError
from unitmean.pipeline.config.keys import as_typed, needs


def require_read(typed: Collection[str], values: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """ConfigError for a key among the keys and groups `typed` that these settings leave unread.

    What conf/ holds may go unread: a project's defaults stand there for whenever they are needed. So may what
    is typed together with the setting that switches it off, as in `transfer=none transfer.steps=9` and where
    a script tries one statistic after the other.
    """
    for name in typed:
        section, dot, key = name.partition(".")
        if not dot:  # a group
            continue
        unmet = {
            other: wanted
            for other, wanted in needs(section, key).items()
            if (values[section][other] is None if wanted is None else values[section][other] != wanted)
        }
        if not unmet or any(
            f"{section}.{o}" in typed or (o == "enabled" and section in typed) for o in unmet
        ):
            continue
        other, wanted = next(iter(unmet.items()))
        condition = f"{section}.{other}={'…' if wanted is None else as_typed(wanted)}"
        raise ConfigError(
            f"{name} must be given only where it is read, with {condition}; found it in {where} with "
            f"{section}.{other}={as_typed(values[section][other])}: add {condition}, or leave {name} out"
        )
