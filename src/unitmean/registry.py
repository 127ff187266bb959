"""Registries: what the modules of a package offer under one name, such as its layouts."""

import pkgutil
from importlib import import_module
from typing import TypeVar

Entry = TypeVar("Entry")


def registered(package: str, attribute: str, kind: type[Entry]) -> list[Entry]:
    """This attribute of each of the package's modules that has it, of this type, by the modules' names."""
    paths = import_module(package).__path__
    modules = (import_module(f"{package}.{module.name}") for module in pkgutil.iter_modules(paths))
    found = (getattr(module, attribute, None) for module in modules)
    return [entry for entry in found if isinstance(entry, kind)]
