"""An archive from an address, checked by its digest and kept as a plain tar."""

from unitmean.errors import ConfigError
from unitmean.pipeline.sources.images.source import Found, ImageSource, Request, look_into


def find(request: Request) -> list[Found]:
    from unitmean.pipeline.index.zips import MAGIC, SUFFIX
    from unitmean.pipeline.sources.archive import fetch_tar

    url, digest = request.dataset.url, request.dataset.digest
    if not url or not digest:
        raise ConfigError(
            f"dataset.source=url needs dataset.url and dataset.digest; found {url!r} and "
            f"{digest!r}: give both"
        )
    tar = request.folder / "images.tar"
    fetch_tar(url, digest, tar, request.root / ".partial" / "downloads")
    with tar.open("rb") as file:
        zipped = file.read(4) in MAGIC
    if zipped:
        tar = tar.rename(tar.with_suffix(SUFFIX))
    return [look_into(tar, made=True)]


SOURCE = ImageSource(
    "url", "an archive from an address; `dataset=imagenette` is one", ("url", "digest"), find
)
