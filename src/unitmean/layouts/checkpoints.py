"""What training code keeps beside the weights and puts around their names, taken off."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from torch import Tensor

# Wrappers name themselves: DataParallel and AveragedModel, torch.compile.
WRAPPERS = {"module", "_orig_mod"}
# A counter of AveragedModel's.
COUNTERS = {"n_averaged"}
DEPTH = 3  # dicts within dicts that are looked into


def largest(value: Mapping[Any, Any]) -> tuple[str, Mapping[str, Tensor]] | None:
    """Of all dicts of named tensors in a checkpoint the one with most numbers, and where it lies."""
    found = [(where, state) for where, state in _states(value, "", DEPTH) if state]
    return max(found, key=lambda pair: sum(t.numel() for t in pair[1].values()), default=None)


def bare(state: Mapping[str, Tensor], expected: Collection[str]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors under the names that a network has by itself, and notes on what was taken off or left out.

    expected: the names that the network has in torchvision. What lies beside a network that lies under a
    prefix (`backbone.`) is left out.
    """
    notes = []
    named = {_without_wrappers(name): tensor for name, tensor in state.items() if name not in COUNTERS}
    if len(named) < len(state) - len(COUNTERS & state.keys()):
        return dict(state), []  # two names would become one
    if named.keys() != state.keys():
        notes.append("wrappers' names (module, _orig_mod) and counters were taken off")
    if any(name in expected for name in named):
        return named, notes
    prefix = _prefix(named, expected)
    if not prefix:
        return named, notes
    inside = {name.removeprefix(prefix): t for name, t in named.items() if name.startswith(prefix)}
    notes.append(f"the prefix {prefix!r} was taken off")
    if outside := [name for name in named if not name.startswith(prefix)]:
        notes.append(f"{len(outside)} tensors outside it were left out: {', '.join(outside[:4])}")
    return inside, notes


def _states(value: Any, where: str, depth: int) -> Iterator[tuple[str, Mapping[str, Tensor]]]:
    if not isinstance(value, Mapping) or depth < 0:
        return
    if all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items()):
        yield where, value
        return
    for key, part in value.items():
        yield from _states(part, f"{where}[{key!r}]", depth - 1)


def _without_wrappers(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _prefix(names: Collection[str], expected: Collection[str]) -> str:
    """The one under which most of the expected names lie; else what all names have in common."""
    found: dict[str, int] = {}
    for name in names:
        for at in range(len(name)):
            if name[at] == "." and name[at + 1 :] in expected:
                found[name[: at + 1]] = found.get(name[: at + 1], 0) + 1
    if found:
        return max(found, key=lambda prefix: found[prefix])
    firsts = {name.partition(".")[0] for name in names}
    first = next(iter(firsts)) if len(firsts) == 1 else ""
    # A layer's own name is no prefix: a layer and what it is to it stay.
    return f"{first}." if first and not first.isdigit() and all(n.count(".") > 1 for n in names) else ""
