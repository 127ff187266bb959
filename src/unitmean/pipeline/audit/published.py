"""Whether a published file is normalised, by which measurement, and whether it still computes the same."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from unitmean.disk.progress import Bar
from unitmean.errors import NetworkError, WeightsError
from unitmean.graph.analysis import analyse
from unitmean.graph.observe import Observer
from unitmean.graph.plan import Site
from unitmean.graph.strict import require_rectifier
from unitmean.layouts.files import load_weights, read_tensors
from unitmean.layouts.reading import canonical
from unitmean.networks.architectures import build
from unitmean.networks.inputs import Input
from unitmean.pipeline.audit.candidates import Candidate, Trials
from unitmean.pipeline.audit.measured import Measured
from unitmean.pipeline.index.batches import batches
from unitmean.pipeline.index.index import Index
from unitmean.pipeline.sources.weights import INPUTS
from unitmean.proof.recover import Recovered, recover
from unitmean.statistics.mean import Means, mean_observer

BATCH = 8
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


def read_fetched(path: Path, model: str) -> Published:
    """What `fetch_weights` wrote, whose metadata say the input."""
    state, metadata = load_weights(path)
    input = Input.from_dict(metadata.get("input", {}))
    return Published(path, model, state, metadata["layout"], input, metadata["notes"])


def try_candidates(published: Published, index: Index, trials: Trials) -> list[Measured]:
    """Every candidate on all images of the index, the one whose means scatter least first.

    Each image is decoded once for each preprocessing and shown to all networks. NetworkError where there is
    nothing to try.
    """
    inputs = _named(published.input) if published.input else INPUTS
    found = []
    with Bar("auditing", len(index) * len(trials.preprocessings), "images") as bar:
        for name, preprocessing in trials.preprocessings.items():
            observers = dict(_observers(published, name, inputs, trials))
            sums: dict[Candidate, dict[str, Means]] = {candidate: {} for candidate in observers}
            for x in batches(index, preprocessing, BATCH):
                for candidate, observer in observers.items():
                    for site, means in observer(inputs[candidate.input].apply(x)).items():
                        of, batch = sums[candidate], Means.of(means)
                        of[site] = of[site] + batch if site in of else batch
                bar.advance(len(x))
            found += [Measured(candidate, means) for candidate, means in sums.items()]
    return sorted(found, key=lambda measured: measured.spread)


def _named(input: Input) -> dict[str, Input]:
    return {next((name for name, known in INPUTS.items() if known == input), "the file's"): input}


def _observers(
    published: Published, pixels: str, inputs: dict[str, Input], trials: Trials
) -> Iterator[tuple[Candidate, Observer]]:
    sites: tuple[Site, ...] = ()  # alike for all
    impossible: NetworkError | None = None
    for input, padding, pooling in product(inputs, trials.paddings, trials.poolings):
        try:
            network = build(
                published.model, published.state, pooling=pooling, padding=padding, input=inputs[input]
            )
        except NetworkError as error:
            if pooling == "avg":  # which only chains can be given
                impossible = error
                continue
            raise
        example = torch.zeros(1, 3, trials.pixels, trials.pixels)
        module = network.module.to(memory_format=torch.channels_last)
        if not sites:
            require_rectifier(plan := analyse(module, example))
            sites = plan.sites
        named = {site.name: network.layer(site.name) for site in sites}
        observe = mean_observer(module, example, sites)

        def observer(
            x: Tensor, observe: Observer = observe, named: dict[str, str] = named
        ) -> dict[str, Tensor]:
            found = observe(x.contiguous(memory_format=torch.channels_last))
            return {named[site]: means for site, means in found.items()}

        yield Candidate(pixels, input, padding, pooling), observer
    if not sites and impossible is not None:
        raise impossible


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
