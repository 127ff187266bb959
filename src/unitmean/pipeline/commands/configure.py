"""`unitmean configure`: conf/ and overrides into params.yaml."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from unitmean.disk.atomic import write_text
from unitmean.errors import ConfigError
from unitmean.pipeline.commands.exclusive import exclusive
from unitmean.pipeline.config.check import Values, check
from unitmean.pipeline.config.contents import PATHS
from unitmean.pipeline.config.files import require_files
from unitmean.pipeline.config.own_code import require_own_code
from unitmean.pipeline.config.params import read_params
from unitmean.pipeline.config.project import find_root

EPILOG = """\
OVERRIDES are Hydra's: a group's choice (model=vgg16, +experiment=gatys2016) or a key's value
(dataset.subset=5000). What is not overridden is conf/'s default, whatever params.yaml said before.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDES")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; say whether params.yaml is in step"
    )


def run(options: argparse.Namespace) -> int:
    root = find_root()
    require_own_code(root)
    if options.check:
        require_composed(root, options.overrides)
    else:
        with exclusive(root):
            configure(root, options.overrides)
    return 0


def configure(root: Path, overrides: Sequence[str], *, to_run: bool = False) -> None:
    """Compose conf/ with `overrides` and write params.yaml, if that changes it.

    `to_run`: ConfigError where a file is missing that the settings name.
    """
    text, path = _compose(root, overrides), root / "params.yaml"
    if to_run:
        from unitmean.pipeline.config.compose import as_values

        require_files(as_values(text), root, " ".join(["the configuration", *overrides]))
    if path.exists() and path.read_bytes() == text.encode():
        print("params.yaml is as composed", flush=True)
        return
    before = _values(path)
    write_text(path, text)
    changes = _changes(before, check(read_params(path), path.name))
    print(f"params.yaml written{': ' if changes else ''}{', '.join(changes)}", flush=True)


def require_composed(root: Path, overrides: Sequence[str]) -> None:
    """ConfigError unless params.yaml is in step with conf/ and, given overrides, is what they compose to."""
    from unitmean.pipeline.config.compose import as_values
    from unitmean.pipeline.stages.config import require_in_step

    path = root / "params.yaml"
    text = _compose(root, overrides)
    checked = require_in_step(read_params(path), root / "conf")
    changes = _changes(check(as_values(text), path.name), checked)
    if overrides and path.read_bytes() != text.encode():
        raise ConfigError(
            f"params.yaml must be what {' '.join(overrides)!r} composes to; found "
            f"{', '.join(changes) or 'other bytes'}: "
            "run `unitmean configure` with the same overrides"
        )
    print(f"params.yaml is in step with conf/{' but for: ' if changes else ''}{', '.join(changes)}")


def _compose(root: Path, overrides: Sequence[str]) -> str:
    # Imported here, since Hydra takes a second, for which `--help` shouldn't wait.
    from unitmean.pipeline.config.compose import compose

    return compose(root, overrides)


def _changes(before: Values | None, after: Values) -> list[str]:
    """`section.key=value` of `after` wherever it differs from `before`, and files whose contents differ."""
    if before is None:
        return []
    differing = [
        (f"{section}.{key}", value)
        for section, content in after.items()
        for key, value in content.items()
        if before[section][key] != value
    ]
    settings = {key: value for key, value in differing if not key.startswith("meta.")}
    # Where a path is another one, its contents are too.
    read = [PATHS[key] for key, _ in differing if key in PATHS and PATHS[key] not in settings]
    return [
        *(f"{key}={'null' if value is None else value}" for key, value in settings.items()),
        *(f"contents of {path}" for path in read),
    ]


def _values(path: Path) -> Values | None:
    """What params.yaml holds, or None if that is no configuration."""
    try:
        return check(read_params(path), path.name)
    except ConfigError:
        return None
