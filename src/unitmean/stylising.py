"""Style transfer between picture files: what `unitmean stylise` does, as functions."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from unitmean.device import choose_device
from unitmean.errors import ConfigError, DataError
from unitmean.networks.architectures import Padding, Pooling
from unitmean.networks.features import features
from unitmean.networks.transfer_layers import transfer_layers
from unitmean.style import stylise as core
from unitmean.style.forecast import Forecast, forecast
from unitmean.style.losses import Features, LossWeights, Picture, Style
from unitmean.style.pictures import content_picture, mask_picture, style_picture, with_colours_of
from unitmean.style.settings import LEAST, Settings
from unitmean.style.source import InputName, read
from unitmean.style.stylise import Descent, OnStep, Stylised

Say = Callable[[str], None]


@dataclass(frozen=True)
class Transfer:
    """A style transfer that is ready to run: network, pictures, weights and settings."""

    features: Features
    content: Picture
    styles: list[Style]
    weights: LossWeights
    descent: Descent
    original_colours: bool

    def forecast(self) -> Forecast:
        """The time and memory that it will take."""
        return forecast(self.features, self.content, self.styles, weights=self.weights, descent=self.descent)

    def shown(self, picture: Picture) -> Picture:
        """An intermediate picture as it would be written, in the content's colours if these are kept."""
        return with_colours_of(picture, self.content) if self.original_colours else picture

    def run(self, on_step: OnStep = lambda step, losses, picture: None) -> Stylised:
        """Run the transfer; DataError where the loss doesn't become lower than the start picture's."""
        result = core.stylise(
            self.features,
            self.content,
            self.styles,
            weights=self.weights,
            descent=self.descent,
            on_step=on_step,
        )
        first, last = result.start.total, result.losses[-1].total
        if not last < first:
            found = f"a loss of {first:.3g} at the start and {last:.3g} at the end"
            raise DataError(
                f"style transfer must lower its loss; found {found}: the pictures may be the same, or have "
                "nothing that the network sees, as a black one, or the steps were too few to paint what "
                "enlarging blurred; take other pictures, start from noise, or raise --steps"
            )
        return replace(result, picture=self.shown(result.picture))


def prepare(
    content: str | Path,
    *styles: str | Path,
    weights: str | Path,
    model: str | None = None,
    input: InputName | None = None,
    pooling: Pooling | None = None,
    padding: Padding | None = None,
    device: str = "auto",
    say: Say = lambda words: None,
    **settings: Any,
) -> Transfer:
    """Read the network and the pictures; `say` is called with warnings. Arguments as in `stylise`."""
    if not styles:
        raise ConfigError("style transfer needs a style; found none: name a picture at least")
    chosen = Settings(**settings)
    chosen.check(len(styles))
    place = choose_device(device, "--device ")
    whole = content_picture(Path(content), chosen.size, LEAST)
    height, width = whole.shape[2:]
    each = chosen.style_weights or [1.0] * len(styles)
    masks: Sequence[str | Path | None] = chosen.masks or [None] * len(styles)
    painted = [
        Style(
            style_picture(Path(style), height, width, seed=0, scale=chosen.style_scale).to(place),
            weight,
            None if mask is None else mask_picture(Path(mask), height, width).to(place),
        )
        for style, weight, mask in zip(styles, each, masks, strict=True)
    ]
    seen = read(weights, model=model, input=input, pooling=pooling, padding=padding)
    for warning in seen.warnings:
        say(warning)
    usual_content, usual_styles = transfer_layers(seen.network, whole)
    whole, network = whole.to(place), seen.network.to(place)
    layers = list(chosen.style_layers or usual_styles)
    content_layer = chosen.content_layer or usual_content
    correction = chosen.layer_weights or ("equal" if seen.normalised else "authors")
    return Transfer(
        features(network, whole, list(dict.fromkeys([*layers, content_layer]))),
        whole,
        painted,
        LossWeights(
            content_layer,
            layers,
            chosen.content_weight,
            chosen.style_weight,
            by_channels=correction == "authors",
            smooth=chosen.smooth,
        ),
        Descent(
            chosen.steps,
            chosen.optimiser,
            chosen.init,
            chosen.octaves,
            chosen.rate,
            chosen.seed,
            chosen.noise,
        ),
        chosen.original_colours,
    )


def stylise(content: str | Path, *styles: str | Path, weights: str | Path, **words: Any) -> Stylised:
    """The content picture in the style of others, as a tensor in [0, 1], with the losses of all steps.

    weights: a file in any known layout, a folder for the hub, `hf://owner/name[@revision]`, or a network's
    name for torchvision's own weights. Further arguments are those of the command line (model, input,
    pooling, padding, device), the fields of `Settings` (such as size, steps, style_weight), and on_step, a
    function that is called as `on_step(step, losses, picture)`: the step's number, counted from 0 over all
    sizes, its `Losses`, and its picture as a tensor. Warns as the command does. Raises ConfigError,
    DataError, WeightsError or NetworkError.
    """
    on_step: OnStep = words.pop("on_step", lambda step, losses, picture: None)
    say = partial(warnings.warn, stacklevel=3)
    return prepare(content, *styles, weights=weights, say=say, **words).run(on_step)
