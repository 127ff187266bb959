"""Restores what a forward method changes: its module, and the state of random numbers."""

import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# The state of random numbers is the whole process's, and so is much that torch.export sets aside meanwhile.
ALONE = RLock()


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Attributes of the module and all its parts get their old values back, lists and dicts their contents.

    So do hooks, which Hugging Face's models register at their first call, with a mark that they did. Tensors
    that are plain attributes are copies meanwhile, so that what is written into them is lost. Tracing runs
    the forward method on tensors without numbers; a module that keeps an activation would otherwise hold one
    of these. Of several threads one at a time is in here, or in `repeatable`.
    """
    with ALONE:
        yield from _restored(module)


def _restored(module: nn.Module) -> Iterator[None]:
    kept = [(part, dict(vars(part)), _contents(vars(part))) for part in module.modules()]
    for part, attributes, _ in kept:
        plain = {name: value for name, value in attributes.items() if isinstance(value, Tensor)}
        vars(part).update({name: value.detach().clone() for name, value in plain.items()})
    try:
        yield
    finally:
        for part, attributes, contents in kept:
            vars(part).clear()
            vars(part).update(attributes)
            for container, content in contents:
                container.clear()
                ordered = isinstance(container, list | deque)
                container.extend(content) if ordered else container.update(content)


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Random numbers begin at one seed, and go on afterwards as before; the caller's autocast is off.

    Those of Python and of numpy, too. Of several threads one at a time is in here, or in `undisturbed`.
    """
    with ALONE, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        python, arrays = random.getstate(), np.random.get_state()
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        try:
            with torch.autocast(device.type, enabled=False):
                yield
        finally:
            random.setstate(python)
            np.random.set_state(arrays)


def _contents(attributes: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Each list, dict and set among the attributes, with what it holds."""
    return [
        (value, value.copy()) for value in attributes.values() if isinstance(value, list | dict | set | deque)
    ]
