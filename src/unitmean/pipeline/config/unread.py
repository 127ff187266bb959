"""Settings that somebody typed and nothing would read: asked for, and not done."""

from collections.abc import Iterable, Mapping
from typing import Any

from unitmean.errors import ConfigError
from unitmean.pipeline.config.keys import as_typed, needs


def require_read(typed: Iterable[str], values: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """ConfigError for a key among those `typed`, as `section.key`, that these settings leave unread.

    What conf/ holds may go unread: a project's defaults stand there for whenever they are needed.
    """
    for name in typed:
        section, _, key = name.partition(".")
        for other, wanted in needs(section, key).items():
            found = values[section][other]
            if found is not None if wanted is None else found == wanted:
                continue
            condition = f"{section}.{other}={'…' if wanted is None else as_typed(wanted)}"
            raise ConfigError(
                f"{name} must be given only where it is read, with {condition}; found it in {where} with "
                f"{section}.{other}={as_typed(found)}: add {condition}, or leave {name} out"
            )
