"""The ways in which a published file's channel means may have been measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from unitmean.networks.architectures import Padding, Pooling
from unitmean.pipeline.index.preprocess import Preprocessing

Resizing = Literal["warp", "resize_crop", "crop"]


@dataclass(frozen=True)
class Candidate:
    """One way to measure: pixels, the network's input, padding and pooling."""

    pixels: str
    input: str
    padding: Padding
    pooling: Pooling

    @property
    def short(self) -> str:
        """A short name, for axes and columns."""
        return f"{self.pixels}, {self.padding}, {self.pooling}"

    def __str__(self) -> str:
        return f"{self.pixels}, input {self.input}, {self.padding} padding, {self.pooling} pooling"


@dataclass(frozen=True)
class Trials:
    """The values to try, in every combination; `pixels` is the side of the network's input."""

    pixels: int = 224
    resizes: Sequence[Resizing] = get_args(Resizing)
    paddings: Sequence[Padding] = get_args(Padding)
    poolings: Sequence[Pooling] = get_args(Pooling)

    @property
    def preprocessings(self) -> dict[str, Preprocessing]:
        """By name: "warp 224", "256, crop 224" (the shorter side is 8/7 of the pixels) or "224, crop 224"."""
        return dict(_preprocessing(resizing, self.pixels) for resizing in self.resizes)


def _preprocessing(resizing: Resizing, pixels: int) -> tuple[str, Preprocessing]:
    if resizing == "warp":
        return f"warp {pixels}", Preprocessing("warp", pixels)
    shorter = round(pixels * 8 / 7) if resizing == "resize_crop" else pixels
    return f"{shorter}, crop {pixels}", Preprocessing("shorter", shorter, pixels)
