"""Whether a published file is normalised, by which measurement, and whether it still computes the same."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from unitmean.core.analysis import analyse
from unitmean.core.mean import Means, mean_observer
from unitmean.core.observe import Observer
from unitmean.core.plan import Site
from unitmean.core.recover import Recovered, recover
from unitmean.disk.batches import batches
from unitmean.disk.index import Index
from unitmean.disk.layouts import canonical
from unitmean.disk.preprocess import Preprocessing
from unitmean.disk.progress import Bar
from unitmean.disk.sources import INPUTS
from unitmean.disk.weights import read_tensors
from unitmean.errors import NetworkError, WeightsError
from unitmean.networks.architectures import build
from unitmean.networks.inputs import Input

Pooling = Literal["max", "avg"]
Padding = Literal["zeros", "reflect"]

PREPROCESSINGS = {
    "warp 224": Preprocessing("warp", 224),
    "256, crop 224": Preprocessing("shorter", 256, 224),
    "224, crop 224": Preprocessing("shorter", 224, 224),
}
BATCH = 8
# A file counts as normalised where half of its channels are this close to one, and their logarithms scatter
# no more than this: networks as trained scatter by one and more, and their means are anywhere.
NEAR, SCATTER = 0.15, 0.5
# Standard errors that sampling explains: beyond 4 lies one normal channel of 16,000.
EXPLAINED = 4.0
# Of a weight, relative: what float32 leaves of a product of two factors, with room for other people's order.
SAME = 1e-5


@dataclass(frozen=True)
class Published:
    """A file's weights under torchvision's keys, its layout and the input that it implies, if any."""

    path: Path
    model: str
    state: dict[str, Tensor]
    layout: str
    input: Input | None
    notes: list[str]


def read_published(path: Path, model: str) -> Published:
    """A file in any layout that is read; WeightsError where it is none, or none of `model`."""
    tensors, notes = read_tensors(path)
    found = canonical(tensors, model)
    return Published(path, model, found.state_dict, found.layout, found.input, notes)


@dataclass(frozen=True)
class Candidate:
    """One way to measure: pixels, the network's input, padding and pooling."""

    preprocessing: str
    input: str
    padding: Padding
    pooling: Pooling


@dataclass(frozen=True)
class Measured:
    """A candidate and each layer's means by it."""

    candidate: Candidate
    means: dict[str, Means]

    @property
    def table(self) -> pd.DataFrame:
        """Columns site, channel, mean, standard_error, z: the mean's distance from one in standard errors."""
        frames = [
            pd.DataFrame(
                {
                    "site": site,
                    "channel": range(len(found.mean)),
                    "mean": found.mean.numpy(),
                    "standard_error": found.standard_error.numpy(),
                }
            )
            for site, found in self.means.items()
        ]
        table = pd.concat(frames, ignore_index=True)
        error = table["standard_error"]
        return table.assign(z=(table["mean"] - 1) / error.where(error > 0))

    @property
    def spread(self) -> float:
        """The standard deviation of the logarithms of the means of channels that are ever active."""
        mean = self.table["mean"]
        return float(np.log(mean[mean > 0]).std())

    @property
    def distance(self) -> float:
        """The median distance of a mean from one."""
        return float((self.table["mean"] - 1).abs().median())

    @property
    def within(self) -> float:
        """The share of channels whose mean lies within three standard errors of one."""
        return float((self.table["z"].abs() <= 3).mean())

    @property
    def normalised(self) -> bool:
        return self.distance <= NEAR and self.spread <= SCATTER

    @property
    def unexplained(self) -> pd.DataFrame:
        """Channels that are never active, or off by more than sampling explains, the worst first."""
        table = self.table
        off = table[~(table["z"].abs() <= EXPLAINED)]
        return off.assign(by=off["z"].abs().fillna(np.inf)).sort_values("by", ascending=False, kind="stable")


def try_candidates(published: Published, index: Index) -> list[Measured]:
    """Every candidate on all images of the index, the one whose means scatter least first.

    Each image is decoded once for each preprocessing and shown to all networks.
    """
    inputs = {"the file's": published.input} if published.input else INPUTS
    found = []
    with Bar("auditing", len(index) * len(PREPROCESSINGS), "images") as bar:
        for name, preprocessing in PREPROCESSINGS.items():
            observers = dict(_observers(published, name, inputs, preprocessing.output_size))
            sums: dict[Candidate, dict[str, Means]] = {candidate: {} for candidate in observers}
            for x in batches(index, preprocessing, BATCH):
                for candidate, observer in observers.items():
                    for site, means in observer(inputs[candidate.input].apply(x)).items():
                        of, batch = sums[candidate], Means.of(means)
                        of[site] = of[site] + batch if site in of else batch
                bar.advance(len(x))
            found += [Measured(candidate, means) for candidate, means in sums.items()]
    return sorted(found, key=lambda measured: measured.spread)


def _observers(
    published: Published, preprocessing: str, inputs: dict[str, Input], size: int
) -> Iterator[tuple[Candidate, Observer]]:
    sites: tuple[Site, ...] = ()  # alike for all
    for input, padding, pooling in product(inputs, get_args(Padding), get_args(Pooling)):
        try:
            network = build(
                published.model, published.state, pooling=pooling, padding=padding, input=inputs[input]
            )
        except NetworkError:
            if pooling == "avg":  # which only chains can be given
                continue
            raise
        example = torch.zeros(1, 3, size, size)
        module = network.module.to(memory_format=torch.channels_last)
        sites = sites or analyse(module, example).sites
        named = {site.name: network.layer(site.name) for site in sites}
        observe = mean_observer(module, example, sites)

        def observer(
            x: Tensor, observe: Observer = observe, named: dict[str, str] = named
        ) -> dict[str, Tensor]:
            found = observe(x.contiguous(memory_format=torch.channels_last))
            return {named[site]: means for site, means in found.items()}

        yield Candidate(preprocessing, input, padding, pooling), observer


def compare_with(original: Published, published: Published) -> Recovered:
    """The factors between both files; `off` says where one isn't the other times factors.

    WeightsError where they hold different tensors; an original that reaches further is cut.
    """
    old = {key: value for key, value in original.state.items() if key in published.state}
    for key, value in published.state.items():
        if key not in old or old[key].shape != value.shape:
            shape = tuple(old[key].shape) if key in old else "none"
            raise WeightsError(
                f"the original must hold {key} of shape {tuple(value.shape)}; found {shape} in "
                f"{str(original.path)!r}: give the weights that the file was made from"
            )
    input = original.input or published.input or INPUTS["caffe"]
    network = build(published.model, old, input=input)
    outputs = "normalise" if network.truncated else "preserve"
    plan = analyse(network.module, torch.zeros(1, 3, 224, 224), outputs=outputs)
    recovered = recover(plan, old, published.state, SAME)
    if original.input and published.input and original.input != published.input:
        return replace(recovered, off=dict(recovered.off) | {"input": (float("inf"), 1)})
    return recovered
