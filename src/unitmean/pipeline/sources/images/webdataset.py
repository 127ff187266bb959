"""The images of web-dataset shards: a folder of tars, or their names with wildcards."""

from dataclasses import replace

from unitmean.pipeline.sources.images.source import Found, ImageSource, Request, given, look_into


def find_all(request: Request, suffix: str) -> list[Found]:
    """The images of all files with this suffix that dataset.path names.

    What else lies in a folder of them is left out with the first.
    """
    from unitmean.pipeline.sources.wildcards import containers

    several = containers(given(request), request.root, suffix)
    first, *others = (look_into(shard) for shard in several.containers)
    return [replace(first, left_out=several.left_out + first.left_out), *others]


def find(request: Request) -> list[Found]:
    return find_all(request, ".tar")


SOURCE = ImageSource(
    "webdataset", "shards: a folder of tars, or names such as `train-{000..146}.tar`", ("path",), find
)
