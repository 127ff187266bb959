"""Networks of the user's own, spelt FILE.py:NAME: what the function or class NAME of a Python file returns.

Wherever a network of torchvision goes by its name, one's own goes by this spelling.
"""

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from unitmean.disk.imports import with_imports
from unitmean.errors import NetworkError

SPELLING = "FILE.py:NAME"
_FOLDERS: set[Path] = set()  # from which modules were imported


def spelt(name: str, code: str | None) -> str:
    """The spelling of the network `name` of the Python file `code`; the name alone where that is None."""
    return f"{code}:{name}" if code else name


def own(architecture: str) -> tuple[Path, str] | None:
    """The file and the name that FILE.py:NAME spells; None for a network of torchvision."""
    file, colon, name = architecture.rpartition(":")
    return (Path(file).expanduser(), name) if colon and file.endswith(".py") else None


def code_of(architecture: str) -> dict[str, str] | None:
    """What is recorded of the code: the file's name, and a sha256 of it and of what it imports beside it."""
    found = own(architecture)
    if found is None:
        return None
    path = found[0]
    _require_file(path)
    digest = hashlib.sha256()
    for file in with_imports(path):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return {"file": path.name, "sha256": digest.hexdigest()}


def own_network(architecture: str) -> nn.Module:
    """The network that FILE.py:NAME returns, with the numbers that it is made with, in eval mode.

    Raises NetworkError for a file or a name that isn't there, for code that fails, and for what isn't a
    module.
    """
    spelling = own(architecture)
    assert spelling is not None, f"{architecture} is spelt as a network of torchvision"
    path, name = spelling
    with _importing_beside(path):
        function = _function(path, name)
        with _in_words(f"{name} of {path}", "return a network when it is called without arguments"):
            found = function()
    if not isinstance(found, nn.Module):
        raise NetworkError(
            f"{name} of {path} must return a torch.nn.Module; found {type(found).__name__}: return the "
            "network"
        )
    return found.eval()


def own_skeleton(architecture: str) -> nn.Module:
    """A copy of the network whose parameters, but no buffers, lie on the meta device."""
    return deepcopy(_made_once(architecture))


def modules_beside(architecture: str) -> list[ModuleType]:
    """The modules that were imported from the folder of FILE.py, which other processes can't import."""
    found = own(architecture)
    if found is None:
        return []
    folder = found[0].resolve().parent
    return [module for module in list(sys.modules.values()) if _lies_in(folder, module)]


@cache
def _made_once(architecture: str) -> nn.Module:
    made = own_network(architecture)
    # deepcopy takes these for the copies of the parameters.
    empty: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=False)
        for p in made.parameters()
    }
    with _in_words(architecture, "be a network that copy.deepcopy can copy"):
        return deepcopy(made, empty)


def _function(path: Path, name: str) -> Callable[[], Any]:
    code = _loaded(path.resolve(), path)
    function: Callable[[], Any] | None = getattr(code, name, None)
    if not callable(function):
        own_names = [
            key
            for key, value in vars(code).items()
            if callable(value) and getattr(value, "__module__", None) == code.__name__ and key[0] != "_"
        ]
        raise NetworkError(
            f"model.name must be a function or class of {path}, which makes the network; found no {name!r} "
            f"there, but {', '.join(own_names) or 'none at all'}: name one of them"
        )
    return function


@cache
def _loaded(path: Path, shown: Path) -> ModuleType:
    """The module that a file defines, run once a process."""
    _require_file(shown)
    spec = importlib.util.spec_from_file_location(f"own_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their module up
    with _in_words(str(shown), "be Python that can be imported"):
        spec.loader.exec_module(module)
    return module


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise NetworkError(
            f"model.code must name a Python file; found nothing at {str(path)!r} (from {str(Path.cwd())!r}): "
            "correct it"
        )


@contextmanager
def _importing_beside(path: Path) -> Iterator[None]:
    """Modules beside the file can be imported, as when it is run, rather than those beside another one."""
    folder = path.resolve().parent
    for other in _FOLDERS - {folder}:
        for name in [name for name, module in sys.modules.items() if _lies_in(other, module)]:
            del sys.modules[name]
    _FOLDERS.add(folder)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@contextmanager
def _in_words(what: str, must: str) -> Iterator[None]:
    """An error of the user's code becomes a NetworkError that says which line raised it."""
    try:
        yield
    except (Exception, SystemExit) as error:  # users' code raises whatever it likes
        lines = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
        if isinstance(error, SyntaxError):
            lines.append((error.filename or "", error.lineno))
        own_lines = [
            f" ({file}:{line})" for file, line in lines if any(f in Path(file).parents for f in _FOLDERS)
        ]
        where = own_lines[-1] if own_lines else ""
        words = (str(error).splitlines() or [""])[0]
        raise NetworkError(
            f"{what} must {must}; found {type(error).__name__}: {words}{where}: mend the code"
        ) from error


def _lies_in(folder: Path, module: Any) -> bool:
    file = getattr(module, "__dict__", {}).get("__file__")  # no attribute, which some modules import lazily
    return isinstance(file, str) and folder in Path(file).resolve().parents
