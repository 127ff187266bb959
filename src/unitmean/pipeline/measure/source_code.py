"""The files of unitmean that a module depends on, found by following imports, and a hash of them."""

import ast
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import unitmean
from unitmean.disk.digest import sha256_of
from unitmean.disk.imports import executed, imported_names

PACKAGE = "unitmean"
SRC = Path(unitmean.__file__).resolve().parents[1]


def imported_by(*modules: str) -> list[str]:
    """Paths (`unitmean/graph/plan.py`) of the modules, of what they import in unitmean, and of its packages.

    Imports inside functions count, and for a registry all modules of its package. Imports for type checkers
    alone don't, nor do modules that are imported by a name in a string.
    """
    return sorted(_file(name).relative_to(SRC).as_posix() for name in _closure(modules))


def libraries_of(*modules: str) -> set[str]:
    """The packages outside unitmean, the standard library's included, that these modules' files import."""
    named = {name.partition(".")[0] for module in _closure(modules) for name in _named(_read(module))}
    return named - {PACKAGE}


def code_hash(*modules: str) -> str:
    """Sha256 of the names and contents of all files that `imported_by` finds."""
    return sha256_of((path, (SRC / path).read_bytes()) for path in imported_by(*modules))


def _closure(modules: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name.partition(".")[0] == PACKAGE and name not in seen and _file(name).is_file():
            seen.add(name)
            todo += [name.rpartition(".")[0], *_named(_read(name))]
            if _registers(_read(name)):
                todo += [f"{name}.{path.stem}" for path in _file(name).parent.glob("*.py")]
    return seen


@lru_cache(maxsize=1024)
def _registers(source: bytes) -> bool:
    """Whether a module imports all modules of its package, by `registered(__name__, …)`."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "registered"
        and isinstance(node.args[0], ast.Name)
        and node.args[0].id == "__name__"
        for node in executed(ast.parse(source))
    )


def _named(source: bytes) -> tuple[str, ...]:
    names = imported_names(source)
    assert not any(name.startswith(".") for name in names), "a relative import, which this walk can't follow"
    return names


def _read(name: str) -> bytes:
    return _file(name).read_bytes()


def _file(name: str) -> Path:
    base = SRC.joinpath(*name.split("."))
    module = base.with_suffix(".py")
    return module if module.is_file() else base / "__init__.py"
