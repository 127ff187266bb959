"""The losses of Gatys, Ecker and Bethge, "Image style transfer using CNNs", CVPR 2016."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from unitmean.errors import ConfigError
from unitmean.style.gram import gram

Picture = Float[Tensor, "1 3 h w"]
Features = Callable[[Tensor], dict[str, Tensor]]
Parts = Callable[[Tensor], tuple[Tensor, dict[str, Tensor], Tensor]]


@dataclass(frozen=True)
class LossWeights:
    """Which layers are compared and what they weigh.

    Style layers have equal shares of the weight `style`; with `by_channels` each weighs style / N^2, N its
    channels, as the authors weigh those of the original network
    (github.com/leongatys/NeuralImageSynthesis). `smooth` weighs the total variation, which Gatys et al. don't
    have.
    """

    content_layer: str
    style_layers: Sequence[str]
    content: float
    style: float
    by_channels: bool = False
    smooth: float = 0.0

    def __post_init__(self) -> None:
        if not self.style_layers:
            raise ConfigError(
                "transfer.style_layers must name a layer at least; found []: name one, as relu1_1"
            )


@dataclass(frozen=True)
class Style:
    """A style picture of any size, its weight relative to other styles, and a mask of where it applies.

    The mask, as large as the content picture, is one where the style applies; None stands for everywhere.
    """

    picture: Picture
    weight: float = 1.0
    mask: Float[Tensor, "1 1 y x"] | None = None


@dataclass(frozen=True)
class Losses:
    """One step's weighted losses, each layer's part; they add up to `total`."""

    content: float
    style: Mapping[str, float]
    roughness: float = 0.0

    @property
    def total(self) -> float:
        """Content and style together (eq. 7), and the total variation where it weighs anything."""
        return self.content + sum(self.style.values()) + self.roughness

    @property
    def spread(self) -> float:
        """The largest style layer's loss over the smallest one's; infinite where a layer's loss is zero."""
        largest, smallest = max(self.style.values()), min(self.style.values())
        return largest / smallest if smallest else float("inf")

    @property
    def shares(self) -> dict[str, float]:
        """Each layer's part of the style loss; NaN where there is none."""
        whole = sum(self.style.values())
        return {layer: loss / whole if whole else float("nan") for layer, loss in self.style.items()}

    @property
    def retuning(self) -> dict[str, float]:
        """What each layer's weight must be multiplied by so that all losses equal the largest."""
        largest = max(self.style.values())
        return {layer: largest / loss if loss else float("inf") for layer, loss in self.style.items()}


def content_loss(activation: Float[Tensor, "1 c h w"], target: Float[Tensor, "1 c h w"]) -> Float[Tensor, ""]:
    """1/(2 N M) sum (F - P)^2, N channels, M positions, summed in float64."""
    # Gatys et al. do not divide by N M (eq. 1); divided, a weight means the same at every picture size.
    return (activation - target).double().square().mean() / 2


def style_loss(activation: Float[Tensor, "1 c h w"], target: Float[Tensor, "c c"]) -> Float[Tensor, ""]:
    """1/(4 N^2 M^2) sum (G - A)^2, N channels, M positions (eq. 4), summed in float64."""
    positions = activation[0, 0].numel()
    return _between(gram(activation) / positions, target / positions)


def total_variation(picture: Picture) -> Float[Tensor, ""]:
    """The mean squared difference of neighbouring pixels, down and across."""
    down, across = picture.diff(dim=2), picture.diff(dim=3)
    return down.double().square().mean() + across.double().square().mean()


def losses_at_start(
    features: Features, content: Picture, style: Picture | Sequence[Style], weights: LossWeights
) -> Losses:
    """The losses of the content picture itself: how far each layer's style is from the style picture's."""
    with torch.no_grad():
        return values(*parts_of(features, content, style, weights)(content))


def parts_of(
    features: Features, content: Tensor, style: Picture | Sequence[Style], weights: LossWeights
) -> Parts:
    """The weighted losses of any picture as large as the content: content, style by layer, roughness.

    Several styles without masks are treated as one with the weighted mean of their Gram matrices: the sum of
    their losses would have the same gradient. With masks each style is compared where its mask is white. The
    losses are differentiable.
    """
    styles = [Style(style)] if isinstance(style, Tensor) else list(style)
    with torch.no_grad():
        target = features(content)[weights.content_layer]
        terms = {layer: _terms(features, styles, layer) for layer in weights.style_layers}
    each = {
        layer: weights.style / (len(terms[layer][0][1]) ** 2 if weights.by_channels else len(terms))
        for layer in terms
    }

    def parts(picture: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        # Gatys et al. let pixels leave the range and clip the result. Here the loss sees the clipped
        # picture, so that the losses reported are those of the picture that is written.
        clipped = picture.clamp(0, 1)
        seen = features(clipped)
        found = {layer: each[layer] * _masked_loss(seen[layer], terms[layer]) for layer in terms}
        roughness = weights.smooth * total_variation(clipped) if weights.smooth else picture.new_zeros(())
        return weights.content * content_loss(seen[weights.content_layer], target), found, roughness

    return parts


Term = tuple[Tensor | None, Tensor, float]
"""A style's mask, its Gram matrix divided by the number of positions, and its weight."""


def _terms(features: Features, styles: Sequence[Style], layer: str) -> list[Term]:
    whole = sum(style.weight for style in styles)
    seen = [features(style.picture)[layer] for style in styles]
    means = [gram(activation) / activation[0, 0].numel() for activation in seen]
    if all(style.mask is None for style in styles):
        blend = [mean * (style.weight / whole) for mean, style in zip(means, styles, strict=True)]
        return [(None, torch.stack(blend).sum(0), 1.0)]
    return [(style.mask, mean, style.weight / whole) for mean, style in zip(means, styles, strict=True)]


def _masked_loss(activation: Tensor, terms: Sequence[Term]) -> Tensor:
    positions = activation[0, 0].numel()
    losses = []
    for mask, mean, weight in terms:
        if mask is None:
            losses.append(weight * _between(gram(activation) / positions, mean))
            continue
        small = interpolate(mask, activation.shape[2:], mode="area")
        within = small.sum().clamp(min=1e-6)  # a small mask may leave a deep layer no position
        found = gram(activation * small.sqrt()) / within
        losses.append(weight * within / positions * _between(found, mean))
    return torch.stack(losses).sum()


def _between(found: Tensor, mean: Tensor) -> Tensor:
    return (found - mean).double().square().sum() / (4 * len(mean) ** 2)


def values(content: Tensor, style: Mapping[str, Tensor], roughness: Tensor) -> Losses:
    """The losses as plain numbers."""
    return Losses(content.item(), {layer: loss.item() for layer, loss in style.items()}, roughness.item())
