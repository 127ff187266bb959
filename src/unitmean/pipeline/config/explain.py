"""What is wrong with conf/ or with overrides, in words, where Hydra raises its own errors."""

import re
from collections.abc import Iterator
from pathlib import Path

from omegaconf import OmegaConf
from yaml import YAMLError

from unitmean.pipeline.config.keys import expected, keys, sections


def explained(error: Exception, conf: Path) -> str:
    """What is wrong with `conf` or the overrides, of which Hydra, OmegaConf or YAML raised `error`."""
    chain = list(_chain(error))
    no_yaml = any(isinstance(cause, YAMLError | UnicodeError) for cause in chain)
    if no_yaml and (words := _unreadable(conf)):
        return words
    cause = chain[-1]
    section, _, key = (getattr(cause, "full_key", None) or "").partition(".")
    key = key.partition("[")[0]
    if section in sections() and key in keys(section):
        where = str(error).splitlines()[0].removeprefix("Error merging override ")
        return f"{section}.{key} must be {expected(section, key)}; found {where!r}: mend that value"
    first, *others = str(cause).splitlines()
    if named := re.match(r"In '([\w/.-]+)': (.*)", first):
        found = next(filter(None, map(str.strip, [*others[:1], named[2]])), "")
        return f"conf/{named[1]}.yaml must fit the schema; found: {found}: mend it there"
    at = f" at {section}.{key}" if section and key else ""
    return f"conf/ must compose; found {first!r}{at}: mend the override or the file it names"


def _unreadable(conf: Path) -> str:
    """What is wrong with the first file of conf/ that is no YAML."""
    for path in sorted(conf.rglob("*.yaml")):
        try:
            OmegaConf.load(path)
        except (YAMLError, ValueError, OSError) as error:
            words = " ".join(str(error).split())
            return f"conf/{path.relative_to(conf).as_posix()} must be YAML; found: {words}: mend it there"
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what it comes from, and so on."""
    yield error
    if error.__cause__ is not None:
        yield from _chain(error.__cause__)
