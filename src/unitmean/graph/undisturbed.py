"""Restores what a forward method changes: its module, and the state of random numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_TABLES = ("_parameters", "_buffers", "_modules")


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Attributes of the module and all its parts get their old values back, lists and dicts their contents.

    Tracing runs the forward method on tensors without numbers; a module that keeps an activation would
    otherwise hold one of these.
    """
    kept = [(part, dict(vars(part)), _contents(vars(part))) for part in module.modules()]
    try:
        yield
    finally:
        for part, attributes, contents in kept:
            vars(part).clear()
            vars(part).update(attributes)
            for container, content in contents:
                container.clear()
                container.extend(content) if isinstance(container, list) else container.update(content)


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Random numbers begin at one seed, and go on afterwards as before; the caller's autocast is off."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        with torch.autocast(device.type, enabled=False):
            yield


def _contents(attributes: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Each list, dict and set among the attributes, with what it holds."""
    return [
        (value, value.copy())
        for name, value in attributes.items()
        if type(value) in (list, dict, set) and (name in _TABLES or not name.startswith("_"))
    ]
