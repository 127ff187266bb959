"""The weights that torchvision publishes."""

from pathlib import Path
from typing import TYPE_CHECKING

from unitmean.pipeline.sources.weights.source import Origin, Request, WeightsSource

if TYPE_CHECKING:
    from unitmean.networks.inputs import Input

LICENCE = "published by torchvision under BSD-3-Clause; trained on ImageNet, whose terms may bind their use"


def get(request: Request, partial: Path) -> Origin:
    from torchvision import models

    from unitmean.pipeline.sources.weights.downloading import digest_in, downloaded

    url = models.get_model_weights(request.model).DEFAULT.url
    digest = digest_in(url.rpartition("/")[2])
    return downloaded(url, digest, partial, LICENCE, "bsd-3-clause", torchvision_input(request.model))


def torchvision_input(model: str) -> "Input":
    """The input that torchvision's own weights of a model were trained on."""
    from torchvision import models

    from unitmean.networks.inputs import Input
    from unitmean.networks.skeleton import skeleton

    transforms = models.get_model_weights(model).DEFAULT.transforms()
    if hasattr(skeleton(model), "transform_input"):
        # With its weights torchvision sets `transform_input` of googlenet and inception, which converts from
        # ImageNet's mean and std to these.
        return Input("rgb", 1.0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    mean, std = (tuple(map(float, values)) for values in (transforms.mean, transforms.std))
    return Input("rgb", 1.0, mean, std)  # type: ignore[arg-type]


SOURCE = WeightsSource("torchvision", "torchvision's own, of any model", (), get)
