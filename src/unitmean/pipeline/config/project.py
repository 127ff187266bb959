"""Where the project lies: the folder with dvc.yaml and conf/."""

from pathlib import Path

from unitmean.errors import ConfigError


def find_root(start: Path | None = None) -> Path:
    """The nearest folder with dvc.yaml and conf/, at or above `start` (default: the working directory)."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "dvc.yaml").is_file() and (folder / "conf").is_dir():
            return folder
    raise ConfigError(
        f"dvc.yaml and conf/ must lie in the working directory or above it; found none from {str(start)!r}: "
        "make a project by `unitmean init FOLDER`, or change into one"
    )
