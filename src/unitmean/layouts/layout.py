"""A layout in which people ship weights: how it is recognised, read, written, and loaded elsewhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from unitmean.errors import WeightsError
from unitmean.networks.architectures import Network
from unitmean.networks.inputs import CAFFE, Input

State = Mapping[str, Tensor]


class Canonical(NamedTuple):
    """Weights under torchvision's keys, the layout they came in, the input it implies (None: nothing).

    notes: what was taken off the names, and what was left out.
    """

    state_dict: dict[str, Tensor]
    layout: str
    input: Input | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A layout: a value of `rescale.exports`, and with `read` one that weights files may come in.

    fits, program: which networks it takes and what loads it, in words for a table. misfit: why a network
    can't be written in it, in words that end "found …"; None if it can. write: writes a file, given its path,
    the network, the state dict under torchvision's keys and the side in pixels of the pictures that were
    measured. how: Markdown on loading a file of that name, given the network and the same side. keys: the
    names of its tensors, in words. read: turns a state dict of an architecture into torchvision's keys; None
    where the names are another layout's. needs: packages that writing imports, which the extra of the
    layout's name installs. architectures: a regular expression of those that it may take.
    """

    name: str
    fits: str
    program: str
    misfit: Callable[[Network], str | None]
    write: Callable[[Path, Network, State, int], None]
    how: Callable[[str, Network, int], str]
    keys: str = ""
    read: Callable[[State, str], Canonical | None] | None = None
    suffix: str = "pth"
    needs: tuple[str, ...] = ()
    architectures: str = ".*"


def save(path: Path, state: State) -> None:
    """Write a file for torch.load; equal tensors give equal bytes."""
    # Into a file object: given a path, torch writes the file's name into the file.
    with path.open("wb") as file:
        try:
            torch.save({key: value.detach().clone() for key, value in state.items()}, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # a full disk, which torch calls by another name
                raise error.__context__ from None
            raise


def moved(key: str, paths: Mapping[str, str]) -> str:
    """A tensor's name with its layer's path replaced, if it is among `paths`."""
    layer, _, kind = key.rpartition(".")
    return f"{paths.get(layer, layer)}.{kind}"


def renamed(state_dict: State, paths: Mapping[str, str], architecture: str, layout: str) -> dict[str, Tensor]:
    """All tensors with layers renamed by `paths`; WeightsError for a layer that isn't among them."""
    if strange := [key for key in state_dict if key.rpartition(".")[0] not in paths]:
        raise WeightsError(
            f"weights in the {layout} layout must fit {architecture}, whose layers are {list(paths)!r}; "
            f"found {strange[:4]!r}; check model.name"
        )
    return {moved(key, paths): value for key, value in state_dict.items()}


def convolutions(state: State) -> list[tuple[tuple[str, str], Tensor]]:
    """Module path and kind (weight or bias) of every tensor under `features.`, with the tensor."""
    split = [(key.rpartition("."), value) for key, value in state.items()]
    return [((path, kind), v) for (path, _, kind), v in split if path.startswith("features.")]


def input_in_words(network: Network) -> str:
    """The network's input in words, for an error message."""
    return "Caffe's" if network.input == CAFFE else repr(network.input)
