"""Which files of src/unitmean a module executes when it is imported, found by reading, not by running."""

import ast
from functools import cache
from pathlib import Path

SRC = Path(__file__).resolve().parents[1] / "src"


@cache
def imported_by(module: str) -> frozenset[str]:
    """Paths (`src/unitmean/…`) of the module, of all it imports within unitmean, and of their packages."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name not in seen and _file(name) is not None:
            seen.add(name)
            parent = name.rpartition(".")[0]
            todo += [parent, *_named(name)]
    return frozenset(_file(name).relative_to(SRC.parent).as_posix() for name in seen)


def _named(name: str) -> list[str]:
    """Everything an import statement of the module may name, functions and attributes included.

    A package that goes through its own files by pkgutil imports them all.
    """
    names = []
    if "pkgutil.iter_modules(__path__)" in _file(name).read_text(encoding="utf-8"):
        names += [f"{name}.{path.stem}" for path in sorted(_file(name).parent.glob("*.py"))]
    for node in ast.walk(ast.parse(_file(name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import, which this walk can't follow"
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [found for found in names if found.partition(".")[0] == "unitmean"]


def _file(name: str) -> Path | None:
    base = SRC.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if name and path.is_file():
            return path
    return None
