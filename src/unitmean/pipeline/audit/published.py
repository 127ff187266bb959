"""Whether a published file is normalised, by which measurement, and whether it still computes the same."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from unitmean.disk.digest import sha256_of
from unitmean.errors import NetworkError, WeightsError
from unitmean.graph.analysis import analyse
from unitmean.graph.plan import Site
from unitmean.graph.strict import require_rectifier
from unitmean.graph.variables import ONE
from unitmean.layouts.agreed import agreed_model
from unitmean.layouts.files import load_weights, read_record, read_tensors
from unitmean.layouts.reading import canonical
from unitmean.networks.architectures import Network, build
from unitmean.networks.inputs import INPUTS, Input, recorded_input
from unitmean.networks.own import code_of, own
from unitmean.networks.skeleton import skeleton
from unitmean.pipeline.audit.candidates import Candidate, Trials
from unitmean.pipeline.audit.measured import Measured
from unitmean.pipeline.index.index import Index
from unitmean.pipeline.index.pixels import choose_decoder
from unitmean.pipeline.measure.automatic import batch_size, shard_size
from unitmean.pipeline.measure.measurement import Measurement
from unitmean.pipeline.measure.shards import shards, whole
from unitmean.proof.recover import Recovered, recover

# The relative difference allowed to a weight: float32's rounding of a weight times two factors, with room for
# other orders of multiplication.
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

    @cached_property
    def digest(self) -> str:
        """A sha256 of the weights as they were read."""
        return sha256_of(
            (f"{key} {tensor.dtype} {tuple(tensor.shape)}", tensor.contiguous().numpy().tobytes())
            for key, tensor in sorted(self.state.items())
        )


def named_model(path: Path, asked: str | None) -> str:
    """The architecture that a file of this package says it is of; else the one asked for, or vgg19.

    ConfigError as of `agreed_model`.
    """
    record = read_record(path) if path.is_file() else None
    if record is None or not isinstance(record.get("model"), str):
        return asked or "vgg19"
    return agreed_model(str(path), record, asked)


def read_published(path: Path, model: str) -> Published:
    """A file in any known layout; WeightsError where it isn't one, or isn't of the architecture `model`."""
    tensors, notes = read_tensors(path, skeleton(model).state_dict())
    found = canonical(tensors, model)
    input = found.input or recorded_input(read_record(path))
    return Published(path, model, found.state_dict, found.layout, input, [*notes, *found.notes])


def read_fetched(path: Path, model: str) -> Published:
    """The file that the stage `fetch_weights` wrote; its metadata hold the input."""
    state, metadata = load_weights(path)
    input = Input.from_dict(metadata.get("input", {}))
    return Published(path, model, state, metadata["layout"], input, metadata["notes"])


def try_candidates(
    published: Published,
    index: Index,
    trials: Trials,
    partial: Path,
    device: str = "cpu",
    tell: Callable[[Measured], object] = lambda measured: None,
) -> list[Measured]:
    """Every candidate on all images of the index, the one whose means scatter least first.

    Sums are kept under `partial`; `tell` is called with each candidate that is done. NetworkError where there
    is nothing to try.
    """
    inputs = _named(published.input) if published.input else _plausible(published.model)
    batch = batch_size(None, device)
    parts = shards(index, shard_size(None, batch, device))
    found = []
    for name, preprocessing in trials.preprocessings.items():
        for candidate, network, sites in _networks(published, name, inputs, trials):
            identity = {
                "weights": published.digest,
                "model": published.model,
                "code": code_of(published.model),
                "candidate": str(candidate),
            }
            measurement = Measurement(
                network,
                sites,
                preprocessing,
                batch,
                identity,
                device=device,
                decoder=choose_decoder("auto", device),
            )
            sums = whole(measurement, parts, partial, what=f"auditing {candidate.short}")
            variables = {network.layer(site.name): site.variables for site in sites}
            found.append(Measured(candidate, sums, variables))
            tell(found[-1])
    return sorted(found, key=lambda measured: (not len(measured.known), measured.spread))


def _named(input: Input) -> dict[str, Input]:
    return {next((name for name, known in INPUTS.items() if known == input), "the file's"): input}


def _plausible(model: str) -> dict[str, Input]:
    """What a file's weights may have been trained on: torchvision's networks never on RGB in [0, 1]."""
    return {name: input for name, input in INPUTS.items() if name != "unit" or own(model)}


def _networks(
    published: Published, pixels: str, inputs: dict[str, Input], trials: Trials
) -> Iterator[tuple[Candidate, Network, tuple[Site, ...]]]:
    sites: tuple[Site, ...] = ()  # the same for all candidates
    impossible: NetworkError | None = None
    for input, padding, pooling in product(inputs, trials.paddings, trials.poolings):
        try:
            network = build(
                published.model, published.state, pooling=pooling, padding=padding, input=inputs[input]
            )
        except NetworkError as error:
            if pooling == "avg":  # not every architecture has pooling to replace
                impossible = error
                continue
            raise
        if not sites:
            example = torch.zeros(1, 3, trials.pixels, trials.pixels)
            outputs = network.free_outputs()
            require_rectifier(plan := analyse(network.module, example, outputs=outputs))
            sites = plan.sites
            if all(bool((site.variables == ONE).all()) for site in sites):
                raise NetworkError(
                    f"an audit needs channels that may have a factor; found none in {published.model}: "
                    "none of its channels can be normalised"
                )
        yield Candidate(pixels, input, padding, pooling), network, sites
    if not sites and impossible is not None:
        raise impossible


def compare_with(original: Published, published: Published) -> Recovered:
    """The factors between both files; `off` says where `published` isn't `original` times factors.

    Layers that only the original has are left out. WeightsError where it lacks tensors of `published`.
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
    outputs = network.free_outputs()
    plan = analyse(network.module, torch.zeros(1, 3, 224, 224), outputs=outputs)
    recovered = recover(plan, old, published.state, SAME)
    if original.input and published.input and original.input != published.input:
        return replace(recovered, off=dict(recovered.off) | {"input": (float("inf"), 1)})
    return recovered
