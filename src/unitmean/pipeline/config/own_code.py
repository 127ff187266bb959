"""A project's stages must run the project's own code, not that of another checkout which was installed."""

import os
import sys
from pathlib import Path

import unitmean
from unitmean.errors import ConfigError
from unitmean.pipeline.config.project import find_root

RUNNING = Path(unitmean.__file__).resolve().parent


def foreign(root: Path) -> Path | None:
    """The project's own `src` folder, if the running code isn't the one in it; else None.

    None, too, for a project without code of its own, which uses unitmean as an installed package.
    """
    own = root / "src"
    package = own / "unitmean"
    return own if package.is_dir() and package.resolve() != RUNNING else None


def require_own_code(root: Path) -> None:
    """ConfigError where the project has code of its own and another checkout's is running."""
    if (own := foreign(root)) is not None:
        raise ConfigError(
            f"a project must run the code in its own folder {str(own)!r}, or DVC would file what other code "
            f"wrote under this code's name; found the code of {str(RUNNING.parent)!r} running: use this "
            f"project's environment (`make setup`, then .venv/bin), or set PYTHONPATH={own}"
        )


def run_own_code() -> None:
    """Start this very command again with the project's own code, where other code is running.

    DVC runs queued and temporary experiments in copies of the project, in which Python would import the
    package from the checkout that was installed.
    """
    try:
        own = foreign(find_root())
    except ConfigError:  # whatever needs the project will report it
        return
    if own is not None:
        paths = [str(own), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        os.execve(sys.executable, sys.orig_argv, environment)
