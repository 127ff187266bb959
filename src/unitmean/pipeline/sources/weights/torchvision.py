"""The weights that torchvision publishes."""

from pathlib import Path

from unitmean.errors import ConfigError
from unitmean.pipeline.sources.weights.source import Origin, Request, WeightsSource

LICENCE = "published by torchvision under BSD-3-Clause; trained on ImageNet, whose terms may bind their use"


def get(request: Request, partial: Path) -> Origin:
    from torchvision import models

    from unitmean.networks.own import own
    from unitmean.networks.published import published_input
    from unitmean.pipeline.sources.weights.downloading import digest_in, downloaded

    if own(request.model):
        raise ConfigError(
            f"weights=torchvision has torchvision's models; found {request.model!r}: use weights=code for "
            "those that your code makes, or weights=file"
        )
    url = models.get_model_weights(request.model).DEFAULT.url
    digest = digest_in(url.rpartition("/")[2])
    return downloaded(url, digest, partial, LICENCE, "bsd-3-clause", published_input(request.model))


SOURCE = WeightsSource("torchvision", "torchvision's own, of any model", (), get)
