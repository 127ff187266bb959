"""The files that settings name must be there before anything runs."""

import re
from pathlib import Path

from unitmean.errors import ConfigError
from unitmean.pipeline.config.check import Values

# An address, or wildcards that only the source of images can follow.
ELSEWHERE = re.compile(r"://|[*?{\[]")


def require_files(values: Values, root: Path, where: str) -> None:
    """ConfigError where a setting names what doesn't exist; relative paths start at `root`."""
    dataset, weights, transfer = values["dataset"], values["weights"], values["transfer"]
    named = {
        "weights.path": weights["path"] if weights["source"] == "file" else None,
        "dataset.path": None if dataset["source"] in ("generated", "url") else dataset["path"],
        "dataset.labels": dataset["labels"],
        "transfer.content": transfer["content"],
        "transfer.style": transfer["style"],
    }
    for key, text in named.items():
        if text is None or ELSEWHERE.search(text):
            continue
        path = root / Path(text).expanduser()
        if not path.exists():
            raise ConfigError(
                f"{key} must name something that exists; found nothing at {str(path)!r} in "
                f"{where}: correct it; relative paths start at the project's root"
            )
