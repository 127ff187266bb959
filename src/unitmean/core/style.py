"""Style transfer as in Gatys, Ecker and Bethge, "Image style transfer using CNNs", CVPR 2016."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unitmean.core.gram import gram
from unitmean.errors import ConfigError

# Evaluations that one iteration may spend; torch's own default for a line search.
LINE_SEARCH = 25

Picture = Float[Tensor, "1 3 h w"]
Features = Callable[[Tensor], dict[str, Tensor]]
Parts = Callable[[Tensor], tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True)
class LossWeights:
    """Which layers are compared and what they weigh; style layers share `style` alike."""

    content_layer: str
    style_layers: Sequence[str]
    content: float
    style: float

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


@dataclass(frozen=True)
class Stylised:
    """The picture, in [0, 1], and its losses from the start (step 0) to the end."""

    picture: Picture
    losses: Sequence[Losses]

    @property
    def decrease(self) -> float:
        """1 - last/first: the fraction of the loss that is gone; NaN where a loss is not finite."""
        first, last = self.losses[0].total, self.losses[-1].total
        return 1 - last / first if first > 0 else float("nan")


def content_loss(activation: Float[Tensor, "1 c h w"], target: Float[Tensor, "1 c h w"]) -> Float[Tensor, ""]:
    """1/(2 N M) sum (F - P)^2, N channels, M positions, summed in float64."""
    # Gatys et al. do not divide by N M (eq. 1); divided, a weight means the same at every picture size.
    return (activation - target).double().square().mean() / 2


def style_loss(activation: Float[Tensor, "1 c h w"], target: Float[Tensor, "c c"]) -> Float[Tensor, ""]:
    """1/(4 N^2 M^2) sum (G - A)^2, N channels, M positions (eq. 4), summed in float64."""
    _, channels, height, width = activation.shape
    difference = (gram(activation) - target).double()
    return difference.square().sum() / (4 * channels**2 * (height * width) ** 2)


def stylise(
    features: Features,
    content: Picture,
    style: Picture,
    *,
    weights: LossWeights,
    steps: int,
    on_step: Callable[[int, Losses], None] = lambda step, losses: None,
) -> Stylised:
    """Change the content picture until its Gram matrices are the style picture's.

    `features` maps a picture in [0, 1] to activations by layer. Starts from the content picture and takes
    `steps` iterations of L-BFGS; stops early where there is no way down or a loss is not finite.
    """
    return _descend(_parts(features, content, style, weights), content, steps, on_step)


def losses_at_start(features: Features, content: Picture, style: Picture, weights: LossWeights) -> Losses:
    """The losses of the content picture itself: how far each layer's style is from the style picture's."""
    with torch.no_grad():
        return _values(*_parts(features, content, style, weights)(content))


def _parts(features: Features, content: Tensor, style: Tensor, weights: LossWeights) -> Parts:
    with torch.no_grad():
        target = features(content)[weights.content_layer]
        of_style = features(style)
        grams = {layer: gram(of_style[layer]) for layer in weights.style_layers}

    def parts(picture: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        # Gatys et al. let pixels leave the range and clip the result. Here the loss sees the clipped
        # picture, so that the losses reported are those of the picture that is written.
        seen = features(picture.clamp(0, 1))
        each = weights.style / len(weights.style_layers)
        return (
            weights.content * content_loss(seen[weights.content_layer], target),
            {layer: each * style_loss(seen[layer], grams[layer]) for layer in weights.style_layers},
        )

    return parts


def _values(content: Tensor, style: Mapping[str, Tensor]) -> Losses:
    return Losses(content.item(), {layer: loss.item() for layer, loss in style.items()})


def _descend(parts: Parts, start: Tensor, steps: int, on_step: Callable[[int, Losses], None]) -> Stylised:
    picture = start.clone().requires_grad_()
    objective = _Objective(parts, picture)
    # Gatys et al. do not search along the line; without it L-BFGS runs off to NaN on badly scaled weights.
    optimiser = torch.optim.LBFGS(
        [picture],
        max_iter=1,
        max_eval=LINE_SEARCH,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,
        tolerance_change=0,
    )
    objective()
    history = [objective.losses]
    on_step(0, history[0])
    for step in range(1, steps + 1):
        if not objective.usable:
            break
        optimiser.step(objective)
        objective()
        if objective.losses == history[-1]:  # no way down: all further steps would be the same
            break
        history.append(objective.losses)
        on_step(step, objective.losses)
    return Stylised(picture.detach().clamp(0, 1), history)


class _Objective:
    """The loss and its gradient, remembered for the picture last seen.

    L-BFGS is stepped one iteration at a time to log losses, and each step begins by asking again for
    the loss where the last one ended.
    """

    def __init__(self, parts: Parts, picture: Tensor) -> None:
        self._parts, self._picture = parts, picture
        self._seen: Tensor | None = None
        self._first: Tensor | None = None
        self._value = torch.tensor(float("nan"))
        self.losses = Losses(float("nan"), {})

    @property
    def usable(self) -> bool:
        """Whether there is a finite loss and a finite gradient that isn't zero."""
        gradient = self._picture.grad
        return bool(
            gradient is not None
            and self._value.isfinite()
            and gradient.isfinite().all()
            and gradient.abs().max() > 0
        )

    def __call__(self) -> Tensor:
        if self._seen is None or not torch.equal(self._seen, self._picture):
            content, style = self._parts(self._picture)
            self.losses = _values(content, style)
            total = content + sum(style.values())
            if self._first is None:
                self._first = total.detach()
            # Gatys et al. do not do this: relative to the first loss the optimiser's tolerances and
            # float32 gradients mean the same whatever the network's scale.
            value = total / self._first if self._first > 0 else total
            (self._picture.grad,) = torch.autograd.grad(value, self._picture)
            self._seen, self._value = self._picture.detach().clone(), value.detach()
        return self._value
