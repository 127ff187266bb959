"""The losses of Gatys, Ecker and Bethge, "Image style transfer using CNNs", CVPR 2016."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unitmean.errors import ConfigError
from unitmean.style.gram import gram

Picture = Float[Tensor, "1 3 h w"]
Features = Callable[[Tensor], dict[str, Tensor]]
Parts = Callable[[Tensor], tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True)
class LossWeights:
    """Which layers are compared and what they weigh.

    Style layers share `style` alike; with `by_channels` each weighs style / N^2, N its channels, as the
    authors weigh those of the original network (github.com/leongatys/NeuralImageSynthesis).
    """

    content_layer: str
    style_layers: Sequence[str]
    content: float
    style: float
    by_channels: bool = False

    def __post_init__(self) -> None:
        if not self.style_layers:
            raise ConfigError(
                "transfer.style_layers must name a layer at least; found []: name one, as relu1_1"
            )


@dataclass(frozen=True)
class Losses:
    """One step's weighted losses, each layer's part; they add up to `total`."""

    content: float
    style: Mapping[str, float]

    @property
    def total(self) -> float:
        """Content and style together (eq. 7)."""
        return self.content + sum(self.style.values())

    @property
    def spread(self) -> float:
        """The largest style layer's loss over the smallest one's; infinite where a layer has none."""
        largest, smallest = max(self.style.values()), min(self.style.values())
        return largest / smallest if smallest else float("inf")

    @property
    def shares(self) -> dict[str, float]:
        """Each layer's part of the style loss; NaN where there is none."""
        whole = sum(self.style.values())
        return {layer: loss / whole if whole else float("nan") for layer, loss in self.style.items()}

    @property
    def retuning(self) -> dict[str, float]:
        """What each layer's weight must be multiplied by, for all to say as much as the loudest."""
        largest = max(self.style.values())
        return {layer: largest / loss if loss else float("inf") for layer, loss in self.style.items()}


def content_loss(activation: Float[Tensor, "1 c h w"], target: Float[Tensor, "1 c h w"]) -> Float[Tensor, ""]:
    """1/(2 N M) sum (F - P)^2, N channels, M positions, summed in float64."""
    # Gatys et al. do not divide by N M (eq. 1); divided, a weight means the same at every picture size.
    return (activation - target).double().square().mean() / 2


def style_loss(activation: Float[Tensor, "1 c h w"], target: Float[Tensor, "c c"]) -> Float[Tensor, ""]:
    """1/(4 N^2 M^2) sum (G - A)^2, N channels, M positions (eq. 4), summed in float64."""
    _, channels, height, width = activation.shape
    difference = (gram(activation) - target).double()
    return difference.square().sum() / (4 * channels**2 * (height * width) ** 2)


def losses_at_start(features: Features, content: Picture, style: Picture, weights: LossWeights) -> Losses:
    """The losses of the content picture itself: how far each layer's style is from the style picture's."""
    with torch.no_grad():
        return values(*parts_of(features, content, style, weights)(content))


def parts_of(features: Features, content: Tensor, style: Tensor, weights: LossWeights) -> Parts:
    """The weighted losses of any picture: content, and style by layer, differentiable."""
    with torch.no_grad():
        target = features(content)[weights.content_layer]
        of_style = features(style)
        grams = {layer: gram(of_style[layer]) for layer in weights.style_layers}
    each = {
        layer: weights.style / (len(matrix) ** 2 if weights.by_channels else len(grams))
        for layer, matrix in grams.items()
    }

    def parts(picture: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        # Gatys et al. let pixels leave the range and clip the result. Here the loss sees the clipped
        # picture, so that the losses reported are those of the picture that is written.
        seen = features(picture.clamp(0, 1))
        return (
            weights.content * content_loss(seen[weights.content_layer], target),
            {layer: each[layer] * style_loss(seen[layer], grams[layer]) for layer in grams},
        )

    return parts


def values(content: Tensor, style: Mapping[str, Tensor]) -> Losses:
    """As plain numbers."""
    return Losses(content.item(), {layer: loss.item() for layer, loss in style.items()})
