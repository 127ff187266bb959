"""How often two classifiers choose the same class, and the right one."""

from dataclasses import dataclass
from functools import reduce
from operator import add

from jaxtyping import Float, Int64
from torch import Tensor

FIRST = 5


@dataclass(frozen=True)
class Behaviour:
    """Counts over images; a monoid under `+`.

    top1, top5: images on which both choose the same class, the same five. decided: images on which the
    new network's class is one that the old network puts first, up to float32's noise. correct_*: images
    whose class is the label, of `labelled`.
    """

    images: int
    top1: int
    top5: int
    decided: int
    labelled: int
    correct_before: int
    correct_after: int

    @classmethod
    def of(
        cls,
        before: Float[Tensor, "n classes"],
        after: Float[Tensor, "n classes"],
        labels: Int64[Tensor, " n"] | None,
        noise: float,
    ) -> "Behaviour":
        """Compare two networks' logits. `noise`: float32's error, relative to an image's largest logit."""
        first, second = before.argmax(1), after.argmax(1)
        k = min(FIRST, before.shape[1])
        fives = [x.topk(k).indices.sort(1).values for x in (before, after)]
        least = before.amax(1) - noise * before.abs().amax(1)
        chosen = before.gather(1, second[:, None])[:, 0]
        return cls(
            images=len(before),
            top1=int((first == second).sum()),
            top5=int((fives[0] == fives[1]).all(1).sum()),
            decided=int((chosen >= least).sum()),
            labelled=0 if labels is None else len(labels),
            correct_before=0 if labels is None else int((first == labels).sum()),
            correct_after=0 if labels is None else int((second == labels).sum()),
        )

    def __add__(self, other: "Behaviour") -> "Behaviour":
        return Behaviour(*(getattr(self, f) + getattr(other, f) for f in self.__dataclass_fields__))


def together(parts: list[Behaviour]) -> Behaviour | None:
    """The sum of all parts; None without any, as for a network without classes or without images."""
    return reduce(add, parts) if parts else None
