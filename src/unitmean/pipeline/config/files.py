"""The files that settings name must be there before anything runs."""

import glob
import re
from pathlib import Path

from unitmean.errors import ConfigError
from unitmean.pipeline.config.check import Values

# Braces as in train-{000..146}.tar, here a wildcard: only the source of images expands them.
BRACES = re.compile(r"\{[^{}]*\}")


def require_files(values: Values, root: Path, where: str) -> None:
    """ConfigError where a setting names what doesn't exist; relative paths start at `root`.

    Addresses (`s3://…`) aren't checked. A path with wildcards must match something.
    """
    dataset, weights, transfer = values["dataset"], values["weights"], values["transfer"]
    named = {
        "model.code": values["model"]["code"],
        "weights.path": weights["path"] if weights["source"] == "file" else None,
        "dataset.path": None if dataset["source"] in ("generated", "url") else dataset["path"],
        "dataset.labels": dataset["labels"],
        "transfer.content": transfer["content"],
        "transfer.style": transfer["style"],
    }
    for key, text in named.items():
        if text is None or "://" in text:
            continue
        path = root / Path(text).expanduser()
        if not (path.exists() or (key == "dataset.path" and _matched(path))):
            raise ConfigError(
                f"{key} must name something that exists; found nothing at {str(path)!r} in "
                f"{where}: correct it; relative paths start at the project's root"
            )


def _matched(path: Path) -> bool:
    return next(glob.iglob(BRACES.sub("*", str(path))), None) is not None
