"""Any folder of images, searched in depth, or any archive of them, read in place."""

from unitmean.pipeline.sources.images.source import Found, ImageSource, Request, existing


def find(request: Request) -> list[Found]:
    from unitmean.pipeline.index.containers import list_images

    container = existing(request)
    return [Found(container, list_images(container))]


SOURCE = ImageSource("folder", "a folder (searched in depth) or a tar of images", ("path",), find)
