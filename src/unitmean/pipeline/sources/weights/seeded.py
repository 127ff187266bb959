"""Weights that need no download: random numbers, badly scaled on purpose."""

from pathlib import Path

from unitmean.pipeline.sources.weights.source import Origin, Request, WeightsSource

LICENCE = "random numbers: no licence needed"


def get(request: Request, partial: Path) -> Origin:
    from unitmean.networks.inputs import TORCHVISION
    from unitmean.networks.seeded import seeded

    facts = {"seed": request.seed, "spread": request.spread}
    made = seeded(request.model, request.seed, request.spread)
    return Origin(facts, LICENCE, "cc0-1.0", TORCHVISION, made=made)


SOURCE = WeightsSource(
    "seeded", "random numbers, badly scaled on purpose: a stand-in", (), get, reads=("seed", "spread")
)
