"""A weights file from any address."""

from pathlib import Path

from unitmean.errors import ConfigError
from unitmean.pipeline.sources.weights.source import UNKNOWN, UNKNOWN_LICENCE, Origin, Request, WeightsSource


def get(request: Request, partial: Path) -> Origin:
    from unitmean.pipeline.sources.weights.downloading import downloaded

    if not request.url or not request.sha256:
        raise ConfigError(
            "weights=url needs weights.url and weights.sha256; "
            f"found {request.url!r} and {request.sha256!r}; give both"
        )
    return downloaded(request.url, request.sha256, partial, UNKNOWN_LICENCE, UNKNOWN, None)


SOURCE = WeightsSource("url", "a file from an address", ("url", "sha256"), get)
