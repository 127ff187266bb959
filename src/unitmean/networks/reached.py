"""Which files of a user's own some code uses, wherever they lie: found in what was imported."""

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType

import unitmean
from unitmean.disk.imports import imported_names

# Folders of installed packages, and of Python's own modules.
_INSTALLED = {"site-packages", "dist-packages"}
_PYTHONS = {Path(sysconfig.get_paths()[key]).resolve() for key in ("stdlib", "platstdlib")}
_OURS = Path(unitmean.__file__).resolve().parent


def reached(code: ModuleType) -> set[Path]:
    """The files of the modules that a module's import statements and names lead to, also through others.

    A name leads to the module that it is, or in which its function, its class or the class of its value was
    defined. Installed packages, Python's own modules and this package are left out. Not seen is what is
    imported by a name in a string and kept under no name.
    """
    found: set[Path] = set()
    todo, seen = [code], {code.__name__}
    while todo:
        module = todo.pop()
        file = module.__dict__.get("__file__")
        path = Path(file).resolve() if isinstance(file, str) else None
        if path is None or not (module is code or _own(path)):
            continue
        found.add(path)
        for name in (*_imported(module, path), *_named(module)):
            if name not in seen and isinstance(sys.modules.get(name), ModuleType):
                seen.add(name)
                todo.append(sys.modules[name])
    return found


def _imported(module: ModuleType, path: Path) -> Iterator[str]:
    """What the module's text says that it imports."""
    if path.suffix == ".py":
        for name in imported_names(path.read_bytes()):
            with suppress(ImportError, ValueError):  # a module of no package imports nothing relatively
                yield resolve_name(name, module.__package__)


def _named(module: ModuleType) -> Iterator[str]:
    """What the names in the module stand for."""
    for value in list(vars(module).values()):
        if isinstance(value, ModuleType):
            yield value.__name__
        else:
            for named in (value, type(value)):
                name = getattr(named, "__module__", None)
                if isinstance(name, str):
                    yield name


def _own(file: Path) -> bool:
    installed = _INSTALLED.intersection(file.parts) or _PYTHONS.intersection(file.parents)
    return not installed and _OURS not in file.parents
