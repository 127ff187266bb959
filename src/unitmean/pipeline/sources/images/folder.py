"""Any folder of images, searched in depth, or any archive of them, read in place."""

from unitmean.pipeline.sources.images.source import Found, ImageSource, Request, existing, look_into


def find(request: Request) -> list[Found]:
    return [look_into(existing(request))]


SOURCE = ImageSource("folder", "a folder (searched in depth), a tar or a zip of images", ("path",), find)
