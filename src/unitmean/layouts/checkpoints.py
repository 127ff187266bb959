"""Finds the weights in a checkpoint, and strips the prefixes that training code puts before names."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unitmean.errors import WeightsError

# The names that wrappers put before others': DataParallel's and AveragedModel's, torch.compile's.
WRAPPERS = {"module", "_orig_mod"}
# A counter of AveragedModel's.
COUNTERS = {"n_averaged"}
DEPTH = 3  # how deep dicts within dicts are searched
# Dicts under such names hold no weights, but what training keeps for each of them.
OF_TRAINING = re.compile(r"optim|exp_avg|momentum|grad", re.IGNORECASE)
# Dicts under such names hold averages of the weights.
AVERAGED = re.compile(r"(?<![a-z])(ema|swa)(?![a-z])|averag", re.IGNORECASE)
# Which of several dicts that fit equally (a model's, its average's) is taken: the first here.
USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "ema", "model_ema")


class Taken(NamedTuple):
    """A dict of named tensors, where it lies in a checkpoint, and where all others lie, the largest first."""

    where: str
    state: Mapping[str, Tensor]
    others: tuple[str, ...]


def fitting(value: Mapping[Any, Any], expected: Collection[str]) -> Taken | None:
    """The dict of named tensors in a checkpoint that has most of the expected names.

    Of several such none of averages, then the one with fewest others, the largest, the one of the usual name;
    nothing that training keeps beside the weights, unless there is nothing else. expected: torchvision's
    names of the network that is looked for; empty where that isn't known. None where there is no such dict;
    WeightsError where several differ that fit equally.
    """
    found = {where: state for where, state in _states(value, "", DEPTH) if state}
    if not found:
        return None
    weights = {where: state for where, state in found.items() if not OF_TRAINING.search(where)} or found
    fits = {where: _fit(where, state, expected) for where, state in weights.items()}
    where, *equal = [where for where in fits if fits[where] == max(fits.values())]
    if other := next((other for other in equal if not _equal(found[where], found[other])), None):
        raise WeightsError(
            f"a checkpoint must say which of its dicts are the weights; found {where} and {other}, which fit "
            f"equally: save the one that you mean by itself, as by torch.save(checkpoint{where}, …)"
        )
    others = sorted(found.keys() - {where}, key=lambda other: (-_numbers(found[other]), other))
    return Taken(where, found[where], tuple(others))


def _fit(where: str, state: Mapping[str, Tensor], expected: Collection[str]) -> tuple[int, ...]:
    """Larger for a better fit: counts expected names, unexpected ones, numbers; then ranks where it lies.

    Averages come behind all others that have as many expected names.
    """
    names = bare(state, expected)[0].keys()
    met = sum(name in expected for name in names)
    called = re.findall(r"\['(.*?)'\]", where)
    rank = max((USUAL.index(name) if name in USUAL else len(USUAL) for name in called), default=-1)
    return met, not (met and AVERAGED.search(where)), met - len(names) if met else 0, _numbers(state), -rank


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _numbers(state: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in state.values())


def bare(state: Mapping[str, Tensor], expected: Collection[str]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors under the names that a network has by itself, and notes on what was taken off or left out.

    expected: the names that the network has in torchvision. Where the network lies under a prefix
    (`backbone.`), tensors outside it are left out.
    """
    notes = []
    named = {_without_wrappers(name): tensor for name, tensor in state.items() if name not in COUNTERS}
    if len(named) < len(state) - len(COUNTERS & state.keys()):
        return dict(state), []  # two names would become one
    if named.keys() != state.keys():
        notes.append("wrappers' names (module, _orig_mod) and counters were taken off")
    if any(name in expected for name in named):
        return named, notes
    prefix, *others = _prefixes(named, expected)
    if not prefix:
        return named, notes
    inside = _inside(named, prefix)
    if inside.keys() >= set(expected) and (
        other := next((other for other in others if not _equal(inside, _inside(named, other))), None)
    ):
        raise WeightsError(
            f"a state dict must hold the network once; found it under {prefix!r} and under {other!r}: save "
            "the one that you mean by itself"
        )
    notes.append(f"the prefix {prefix!r} was taken off")
    if outside := [name for name in named if not name.startswith(prefix)]:
        notes.append(f"{len(outside)} tensors outside it were left out: {', '.join(outside[:4])}")
    return inside, notes


def _states(value: Any, where: str, depth: int) -> Iterator[tuple[str, Mapping[str, Tensor]]]:
    if not isinstance(value, Mapping) or depth < 0:
        return
    own = {key: part for key, part in value.items() if isinstance(key, str) and isinstance(part, Tensor)}
    beside = any(isinstance(part, Mapping) for part in value.values())
    # Beside others a dict's own tensors count, unless they are figures, such as a loss.
    if len(own) == len(value) or (beside and any(tensor.ndim for tensor in own.values())):
        yield where, own
    for key, part in value.items():
        yield from _states(part, f"{where}[{key!r}]", depth - 1)


def _without_wrappers(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _inside(named: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in named.items() if name.startswith(prefix)}


def _prefixes(names: Collection[str], expected: Collection[str]) -> list[str]:
    """The prefixes under which most of the expected names lie; else the one that all names share, or ""."""
    found: dict[str, int] = {}
    for name in names:
        for at in range(len(name)):
            if name[at] == "." and name[at + 1 :] in expected:
                found[name[: at + 1]] = found.get(name[: at + 1], 0) + 1
    if found:
        most = [prefix for prefix in found if found[prefix] == max(found.values())]
        # Averages lie beside the weights, as in ema_net. beside net.
        return [prefix for prefix in most if not AVERAGED.search(prefix)] or most
    firsts = {name.partition(".")[0] for name in names}
    first = next(iter(firsts)) if len(firsts) == 1 else ""
    # "conv1.weight" stays: with a single dot, what precedes it is a layer's name, not a prefix.
    whole = first and not first.isdigit() and all(n.count(".") > 1 for n in names)
    return [f"{first}." if whole else ""]
