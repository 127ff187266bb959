"""Images made on the spot, which need nothing: dead leaves with 1/f textures."""

from pathlib import Path

from unitmean.errors import ConfigError
from unitmean.pipeline.sources.images.source import Found, ImageSource, Request, look_into


def generate(tar: Path, count: int, size: int, seed: int) -> None:
    """Write `count` images of `size` pixels into a tar; ConfigError for settings that can't be met."""
    from unitmean.pipeline.sources.deadleaves import write_tar

    for key, value in (("count", count), ("pixels", size)):
        if value < 1:
            raise ConfigError(
                f"dataset.{key} must be at least 1; found {value!r}: set it, or leave it at 256"
            )
    if seed < 0:
        raise ConfigError(
            f"dataset.seed must not be negative where images are generated; found {seed!r}: set it"
        )
    write_tar(tar, count, size, seed)


def find(request: Request) -> list[Found]:
    dataset, tar = request.dataset, request.folder / "images.tar"
    generate(tar, dataset.count, dataset.pixels, dataset.seed)
    return [look_into(tar, made=True)]


SOURCE = ImageSource(
    "generated", "dead leaves with 1/f textures, made on the spot", (), find, reads=("count", "pixels")
)
