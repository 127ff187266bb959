"""What Python files import, read from their text: nothing is run."""

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1024)
def imported_names(source: bytes) -> tuple[str, ...]:
    """Everything that an import statement may name, functions and attributes included, relative with dots.

    Imports inside functions count, those under `if TYPE_CHECKING:` don't. Raises SyntaxError.
    """
    names: list[str] = []
    for node in executed(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            dot = "" if start.endswith(".") else "."
            names += [start, *(start + dot + alias.name for alias in node.names)]
    return tuple(names)


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """All that a program may execute: what stands under `if TYPE_CHECKING:` never is."""
    yield node
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        children: Iterable[ast.AST] = node.orelse
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from executed(child)


def with_imports(path: Path) -> list[Path]:
    """A Python file and what it imports from its own folder, directly or through others.

    Imports by a name in a string aren't seen.
    """
    path = path.resolve()  # from where a link leads, as Python does
    folder = path.parent
    found: set[Path] = set()
    todo = [path]
    while todo:
        file = todo.pop()
        if file in found:
            continue
        found.add(file)
        try:
            names = imported_names(file.read_bytes())
        except (SyntaxError, ValueError):  # it can't be run either; the latter of null bytes
            continue
        for name in names:
            dots = len(name) - len(name.lstrip("."))
            base = file.parents[dots - 1] if dots else folder
            todo += _files(base, [part for part in name.split(".") if part])
    return sorted(found)


def _files(base: Path, parts: list[str]) -> Iterator[Path]:
    """The files that importing a dotted name from a folder runs, as far as they are there."""
    for count in range(len(parts) + 1):
        place = base.joinpath(*parts[:count])
        candidates = [place / "__init__.py"] + ([place.with_name(f"{place.name}.py")] if count else [])
        yield from (candidate for candidate in candidates if candidate.is_file())
