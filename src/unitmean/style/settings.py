"""The settings of a style transfer, as the command line and `unitmean.stylise` name them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unitmean.errors import ConfigError

LEAST = 32  # pixels a side: pooling leaves nothing of smaller pictures
COARSE = 512  # the longer side in pixels above which a smaller picture is made first


@dataclass(frozen=True)
class Settings:
    """Settings of a style transfer.

    `size` is the picture's longer side in pixels. `steps` are done at each of `scales` sizes, each twice the
    one before; by default so many that the smallest has at most 512 pixels. `style_weights` weigh several
    styles, `masks` (a picture for each style, white where it applies) place them; `style_scale` makes their
    strokes larger or smaller. `layer_weights` defaults to "equal" with a normalised network, else "authors".
    `noise` is the share of noise in the first picture. `original_colours` keeps the content's colours, and
    takes only lightness from the result. `smooth` weighs the total variation.
    """

    size: int = 512
    steps: int = 200
    scales: int | None = None
    init: Literal["content", "style", "noise"] = "content"
    optimiser: Literal["lbfgs", "adam"] = "lbfgs"
    rate: float = 0.02
    content_layer: str | None = None
    style_layers: Sequence[str] | None = None
    content_weight: float = 1.0
    style_weight: float = 2000.0
    style_weights: Sequence[float] | None = None
    layer_weights: Literal["equal", "authors"] | None = None
    style_scale: float = 1.0
    masks: Sequence[str | Path] | None = None
    smooth: float = 0.0
    original_colours: bool = False
    noise: float = 0.0
    seed: int = 0

    @property
    def octaves(self) -> int:
        """The number of sizes: `scales`, or its default."""
        return self.scales or 1 + max(0, math.ceil(math.log2(self.size / COARSE)))

    def check(self, styles: int) -> None:
        """ConfigError where no picture can be made with these settings and this number of styles."""
        for name, least in (("size", LEAST), ("steps", 1), ("scales", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"--{name} must be at least {least}; found {value}: raise it")
        if self.size >> (self.octaves - 1) < LEAST:
            raise ConfigError(
                f"--size must leave {LEAST} pixels at the coarsest of --scales; found {self.size} and "
                f"{self.octaves}: raise the size or take fewer scales"
            )
        for name, value in vars(self).items():
            numbers = value if name == "style_weights" and value is not None else [value]
            if not all(math.isfinite(number) for number in numbers if isinstance(number, float)):
                raise ConfigError(f"--{name.replace('_', '-')} must be finite; found {value}: correct it")
        for name, right, words in (
            ("rate", self.rate > 0, "positive"),
            ("style-weight", self.style_weight > 0, "positive"),
            ("content-weight", self.content_weight >= 0, "zero or more"),
            ("style-scale", self.style_scale > 0, "positive"),
            ("smooth", self.smooth >= 0, "zero or more"),
            ("noise", 0 <= self.noise <= 1, "from 0 to 1"),
        ):
            if not right:
                value = getattr(self, name.replace("-", "_"))
                raise ConfigError(f"--{name} must be {words}; found {value}: correct it")
        if self.optimiser != "adam" and self.rate != Settings.rate:
            raise ConfigError(
                f"--rate is Adam's; found {self.rate} with --optimiser {self.optimiser}: add "
                "--optimiser adam, or leave it out"
            )
        for name, given in (("style-weights", self.style_weights), ("masks", self.masks)):
            if given is not None and len(given) != styles:
                raise ConfigError(
                    f"--{name} must be one for each STYLE; found {len(given)} for {styles}: give {styles}"
                )
        if self.style_weights is not None and not all(weight > 0 for weight in self.style_weights):
            raise ConfigError(
                f"--style-weights must be positive; found {list(self.style_weights)!r}: "
                "leave a style out instead"
            )
