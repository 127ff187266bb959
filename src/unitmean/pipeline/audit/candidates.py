"""The ways in which a published file's channel means may have been measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from unitmean.pipeline.index.preprocess import Preprocessing

Pixels = Literal["warp", "resize_crop", "crop"]
Padding = Literal["zeros", "reflect"]
Pooling = Literal["max", "avg"]


@dataclass(frozen=True)
class Candidate:
    """One way to measure: pixels, the network's input, padding and pooling."""

    pixels: str
    input: str
    padding: Padding
    pooling: Pooling

    @property
    def short(self) -> str:
        """For axes and columns."""
        return f"{self.pixels}, {self.padding}, {self.pooling}"

    def __str__(self) -> str:
        return f"{self.pixels}, input {self.input}, {self.padding} padding, {self.pooling} pooling"


@dataclass(frozen=True)
class Trials:
    """What is tried, each with each; `size` is the network's input in pixels."""

    size: int = 224
    pixels: Sequence[Pixels] = get_args(Pixels)
    paddings: Sequence[Padding] = get_args(Padding)
    poolings: Sequence[Pooling] = get_args(Pooling)

    @property
    def preprocessings(self) -> dict[str, Preprocessing]:
        """By name: "warp 224", "256, crop 224" (the shorter side to 8/7 of the size) or "224, crop 224"."""
        return dict(_preprocessing(pixels, self.size) for pixels in self.pixels)


def _preprocessing(pixels: Pixels, size: int) -> tuple[str, Preprocessing]:
    if pixels == "warp":
        return f"warp {size}", Preprocessing("warp", size)
    shorter = round(size * 8 / 7) if pixels == "resize_crop" else size
    return f"{shorter}, crop {size}", Preprocessing("shorter", shorter, size)
