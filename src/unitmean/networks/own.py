"""Networks of the user's own, spelt FILE.py:NAME: what the function or class NAME of a Python file returns.

Wherever a network of torchvision goes by its name, one's own goes by this spelling.
"""

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from unitmean.disk.digest import sha256_of
from unitmean.disk.imports import with_imports
from unitmean.errors import NetworkError
from unitmean.graph.reload import computed
from unitmean.graph.unwrapped import unwrapped
from unitmean.networks.reached import reached

SPELLING = "FILE.py:NAME"
# Modules that a file beside the code doesn't stand in for: they are there already, and others need them.
NOT_HIDDEN = {*sys.stdlib_module_names, "torch", "torchvision", "numpy", __name__.partition(".")[0]}
_IMPORTED: dict[Path, str] = {}  # folders from which modules were imported, and the digest of that code


def spelt(name: str, code: str | None) -> str:
    """The spelling of the network `name` of the Python file `code`; the name alone where that is None."""
    return f"{code}:{name}" if code else name


def own(architecture: str) -> tuple[Path, str] | None:
    """The file and the name that FILE.py:NAME spells; None for a network of torchvision."""
    file, colon, name = architecture.rpartition(":")
    return (Path(file).expanduser(), name) if colon and file.endswith(".py") else None


def code_of(architecture: str) -> dict[str, str] | None:
    """What is recorded of the code: the file's name, and a sha256 of it and of what it imports.

    That is what its import statements name in its own folder, and what it was found to use elsewhere but for
    installed packages, for which it is run.
    """
    found = own(architecture)
    if found is None:
        return None
    path = found[0]
    digest = _digest(path)
    with _importing_beside(path, digest):
        elsewhere = reached(_loaded(path.resolve(), path, digest)) - set(with_imports(path))
    if elsewhere:
        others = sorted((file.name, file.read_bytes()) for file in elsewhere)
        digest = sha256_of([("", digest.encode()), *others])
    return {"file": path.name, "sha256": digest}


def own_network(architecture: str) -> nn.Module:
    """The network that FILE.py:NAME returns, with the numbers that it is made with, in eval mode.

    Raises NetworkError for a file or a name that isn't there, for code that fails, and for what isn't a
    module.
    """
    spelling = own(architecture)
    assert spelling is not None, f"{architecture} is spelt as a network of torchvision"
    path, name = spelling
    digest = _digest(path)
    with _importing_beside(path, digest):
        function = _function(path, name, digest)
        with _in_words(f"{name} of {path}", "return a network when it is called without arguments"):
            found = function()
    if not isinstance(found, nn.Module):
        raise NetworkError(
            f"{name} of {path} must return a torch.nn.Module; found {type(found).__name__}: return the "
            "network"
        )
    found, _ = unwrapped(found)
    why = "compiled by TorchScript" if isinstance(found, torch.jit.ScriptModule) else ""
    for key, value in found.state_dict().items():
        if not isinstance(value, torch.Tensor) or value.is_quantized:
            why = f"quantised, as {key!r} shows"
        elif is_lazy(value):
            why = f"not initialised: {key!r} has no shape before the network is called once"
    if why:
        raise NetworkError(
            f"{name} of {path} must return a network of floating tensors that torch.export takes; found one "
            f"that is {why}: return the network that it was made from, or call it once"
        )
    return found.eval()


def own_skeleton(architecture: str) -> nn.Module:
    """A copy of the network whose parameters, but no buffers, lie on the meta device."""
    found = own(architecture)
    assert found is not None, f"{architecture} is spelt as a network of torchvision"
    return deepcopy(_made_once(architecture, _digest(found[0])))


def modules_beside(architecture: str) -> list[ModuleType]:
    """The modules that were imported from the folder of FILE.py, which other processes can't import."""
    found = own(architecture)
    if found is None:
        return []
    return list(_modules_in(found[0].resolve().parent).values())


@cache
def _made_once(architecture: str, digest: str) -> nn.Module:
    made = own_network(architecture)
    # deepcopy takes these for the copies of the parameters.
    empty: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=False)
        for p in made.parameters()
    }
    with _in_words(architecture, "be a network that copy.deepcopy can copy"):
        return deepcopy(made, computed(made) | empty)


def _digest(path: Path) -> str:
    """Of a file and of what it imports beside it; NetworkError where there is no such file."""
    if not path.is_file():
        raise NetworkError(
            f"model.code must name a Python file; found nothing at {str(path)!r} (from {str(Path.cwd())!r}): "
            "correct it"
        )
    digest = hashlib.sha256()
    for file in with_imports(path):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _function(path: Path, name: str, digest: str) -> Callable[[], Any]:
    code = _loaded(path.resolve(), path, digest)
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
def _loaded(path: Path, shown: Path, digest: str) -> ModuleType:
    """The module that a file defines, run once a process as long as its code stays the same."""
    spec = importlib.util.spec_from_file_location(f"own_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their module up
    with _in_words(str(shown), "be Python that can be imported"):
        spec.loader.exec_module(module)
    return module


@contextmanager
def _importing_beside(path: Path, digest: str) -> Iterator[None]:
    """Modules beside the file can be imported, as when it is run.

    Those that were imported from beside another file, or before this code changed, are not taken for them.
    """
    folder = path.resolve().parent
    for other, imported in _IMPORTED.items():
        if other != folder or imported != digest:
            for name in _modules_in(other):
                del sys.modules[name]
    _IMPORTED[folder] = digest
    own_names = {file.relative_to(folder).parts[0].removesuffix(".py") for file in with_imports(path)}
    hidden = {
        name: module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in own_names - NOT_HIDDEN and name not in _modules_in(folder)
    }
    for name in hidden:  # of another program's; they come back
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with suppress(ValueError):  # the code may have removed it
            sys.path.remove(str(folder))
        sys.modules.update(hidden)


@contextmanager
def _in_words(what: str, must: str) -> Iterator[None]:
    """An error of the user's code becomes a NetworkError that says which line raised it."""
    try:
        yield
    except (Exception, SystemExit) as error:  # users' code raises whatever it likes
        lines = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
        if isinstance(error, SyntaxError):
            lines.append((error.filename or "", error.lineno))
        theirs = [place for place in lines if any(folder in Path(place[0]).parents for folder in _IMPORTED)]
        where = " ({}:{})".format(*theirs[-1]) if theirs else ""
        words = (str(error).splitlines() or [""])[0]
        raise NetworkError(
            f"{what} must {must}; found {type(error).__name__}: {words}{where}: mend the code"
        ) from error


def _modules_in(folder: Path) -> dict[str, ModuleType]:
    """By name the modules that were found through a folder, not through one within it such as a .venv's."""
    nearer = {Path(entry).resolve() for entry in sys.path if entry} - {folder}
    found = {}
    for name, module in list(sys.modules.items()):
        # Not as an attribute, at which some packages import what they have.
        file = getattr(module, "__dict__", {}).get("__file__")
        if not isinstance(file, str) or name.partition(".")[0] == __name__.partition(".")[0]:
            continue
        above = Path(file).resolve().parents
        if folder in above and not nearer.intersection(above[: above.index(folder)]):
            found[name] = module
    return found
