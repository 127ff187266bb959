"""Normalised networks: every channel's mean activation is one, the function unchanged.

    import unitmean

    result = unitmean.normalise(model, loader)                    # new weights, for any rectifier network
    proof = unitmean.verify(model, result.state, loader, result)  # true where they compute the same
    model.load_state_dict(result.state)

normalise(model, batches)           new weights whose channels have mean activation one
verify(model, state, batches)       whether weights compute what the model computes, and where they don't
analyse(model, example)             which channels may be rescaled, and what holds the others: a Plan
measure(model, batches, plan)       the moments of every rectifier's channels
factors(plan, statistics)           what each channel is to be divided by
load(path)                          a weights file of the pipeline as a module
stylise(content, style)             a picture in another's style

Each has its own help: help(unitmean.normalise). Errors derive from UnitmeanError and say what was
expected, what was found and what to do.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unitmean.api import factors, normalise
    from unitmean.errors import UnitmeanError
    from unitmean.graph.analysis import analyse
    from unitmean.graph.plan import Plan
    from unitmean.loading import load
    from unitmean.measuring import measure
    from unitmean.proof.judged import Proof
    from unitmean.results import Normalised
    from unitmean.stylising import stylise
    from unitmean.verifying import verify

__version__ = "0.1.0"

# Looked up when asked for, so that light programs don't import torch.
_PUBLIC = {
    "Normalised": "unitmean.results",
    "Plan": "unitmean.graph.plan",
    "Proof": "unitmean.proof.judged",
    "UnitmeanError": "unitmean.errors",
    "analyse": "unitmean.graph.analysis",
    "factors": "unitmean.api",
    "load": "unitmean.loading",
    "measure": "unitmean.measuring",
    "normalise": "unitmean.api",
    "stylise": "unitmean.stylising",
    "verify": "unitmean.verifying",
}
__all__ = [
    "Normalised",
    "Plan",
    "Proof",
    "UnitmeanError",
    "__version__",
    "analyse",
    "factors",
    "load",
    "measure",
    "normalise",
    "stylise",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
