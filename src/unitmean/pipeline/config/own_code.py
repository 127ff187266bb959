"""A project's stages must run the project's own code, not that of another checkout which was installed."""

import os
import re
import sys
from pathlib import Path

import unitmean
from unitmean.disk.digest import sha256_of
from unitmean.errors import ConfigError
from unitmean.pipeline.config.project import find_root

# Of a project without code of its own, the file that names the version of the package which it uses.
PINNED = "requirements.txt"
PIN = re.compile(r"^unitmean(?:\[[^\]]*\])?==(\S+)", re.MULTILINE)
RUNNING = Path(unitmean.__file__).resolve().parent


def foreign(root: Path) -> Path | None:
    """The project's own `src` folder, if the running code isn't the one in it; else None.

    None, too, for a project without code of its own, which uses unitmean as an installed package.
    """
    own = root / "src"
    package = own / "unitmean"
    return own if package.is_dir() and package.resolve() != RUNNING else None


def require_own_code(root: Path) -> None:
    """ConfigError where the project has code of its own, or names a version, and another one is running."""
    if (own := foreign(root)) is not None:
        raise ConfigError(
            f"a project must run the code in its own folder {str(own)!r}, or DVC would file what other code "
            f"wrote under this code's name; found the code of {str(RUNNING.parent)!r} running: use this "
            f"project's environment (`make setup`, then .venv/bin), or set PYTHONPATH={own}"
        )
    path = root / PINNED
    pin = PIN.search(path.read_text(encoding="utf-8")) if path.is_file() else None
    if pin is not None and pin[1] != unitmean.__version__:
        raise ConfigError(
            f"a project must run the version that its {PINNED} names, unitmean {pin[1]}, or DVC would file "
            f"what another version wrote under it; found {unitmean.__version__} running: install that one, "
            f"or write unitmean[pipeline]=={unitmean.__version__} there, after which all stages run again"
        )


def running_code() -> str:
    """Sha256 of the names and contents of the running package's files."""
    paths = (path for path in sorted(RUNNING.rglob("*")) if "__pycache__" not in path.parts)
    return sha256_of(
        (path.relative_to(RUNNING).as_posix(), path.read_bytes()) for path in paths if path.is_file()
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
    paths = list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    if own is not None and str(own) not in paths[:1]:  # else Python doesn't heed it, as under python -I
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(own), *paths])}
        os.execve(sys.executable, sys.orig_argv, environment)
