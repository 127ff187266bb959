"""The images of web-dataset shards: a folder of tars, or their names with wildcards."""

from unitmean.pipeline.sources.images.source import Found, ImageSource, Request, given, look_into


def find_all(request: Request, suffix: str) -> list[Found]:
    """The images of all files with this suffix that dataset.path names."""
    from unitmean.pipeline.sources.wildcards import containers

    return [look_into(shard) for shard in containers(given(request), request.root, suffix)]


def find(request: Request) -> list[Found]:
    return find_all(request, ".tar")


SOURCE = ImageSource(
    "webdataset", "shards: a folder of tars, or names such as `train-{000..146}.tar`", ("path",), find
)
