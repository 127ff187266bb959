"""What can be normalised in each of torchvision's classification networks."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision import models

from unitmean.graph.analysis import analyse
from unitmean.graph.plan import Plan
from unitmean.graph.reload import load
from unitmean.graph.variables import ONE
from unitmean.networks.seeded import well_behaved
from unitmean.networks.skeleton import skeleton

SIGMA = 0.7  # standard deviation of the random factors' logarithm


@dataclass(frozen=True)
class Entry:
    """One network: its rectifiers' channels, how many are free, and what random factors do to the output.

    sites, channels: how many rectifiers, and channels of rectifiers, it has. free: channels that may have any
    factor. tied: those of the free ones that share it with another channel. forbidden: the operators that
    pinned free channels, most frequent first, then by name. difference: the largest change of the float64
    output under random factors, relative to its largest value; None where it wasn't asked for. seconds: how
    long the analysis took.
    """

    name: str
    sites: int
    channels: int
    free: int
    tied: int
    forbidden: tuple[str, ...]
    seconds: float
    difference: float | None = None


def names() -> list[str]:
    """torchvision's classification networks."""
    return list(models.list_models(module=models))


def example_size(name: str) -> int:
    """Height and width in pixels of an input that every part of the network takes."""
    return 299 if name == "inception_v3" else 224  # the auxiliary head of inception needs 17 x 17 positions


def examine(name: str, *, numbers: bool = True, seed: int = 0) -> Entry:
    """Analyse a network and, with `numbers`, rescale it by random factors in float64.

    Raises NetworkError for an unknown name, or where torch.export can't trace the network.
    """
    size = example_size(name)
    module = skeleton(name).to("meta")
    started = time.perf_counter()
    plan = analyse(module, torch.zeros(1, 3, size, size, device="meta"))
    seconds = time.perf_counter() - started
    channels = torch.cat([site.variables for site in plan.sites] or [torch.empty(0, dtype=torch.int64)])
    free = channels[channels != ONE]
    operators = [obstacle.operator for obstacle in plan.obstacles]
    return Entry(
        name=name,
        sites=len(plan.sites),
        channels=len(channels),
        free=len(free),
        tied=int((free.bincount()[free] > 1).sum()) if len(free) else 0,
        forbidden=tuple(sorted(set(operators), key=lambda name: (-operators.count(name), name))),
        seconds=seconds,
        difference=difference(name, plan, size, seed) if numbers else None,
    )


def difference(name: str, plan: Plan, size: int, seed: int) -> float:
    """The relative change of the float64 output under log-normal factors on all that is free.

    Weights are random, batch-norm statistics too. Auxiliary heads count as outputs.
    """
    module = skeleton(name)
    load(module, well_behaved(module, seed))
    module.double()
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, 3, size, size, generator=generator, dtype=torch.float64)
    normal = torch.randn(plan.variables, generator=generator, dtype=torch.float64)
    before = _outputs(module, x)
    factors = torch.where(plan.free, (SIGMA * normal).exp(), 1.0)
    load(module, plan.rescale(factors, module.state_dict()))
    after = _outputs(module, x)
    return max(float((b - a).abs().max() / a.abs().max()) for a, b in zip(before, after, strict=True))


def _outputs(module: nn.Module, x: Tensor) -> list[Tensor]:
    """What the network returns, its auxiliary heads' outputs included."""
    heads = hasattr(module, "aux_logits")
    module.training = heads  # of the outermost module alone: batch norm and dropout stay in eval mode
    try:
        with torch.inference_mode():
            found = module(x)
    finally:
        module.training = False
    return [found] if isinstance(found, Tensor) else [part for part in found if part is not None]
