"""Encoded images in Parquet files, as on the Hugging Face hub: a folder of them, or names with wildcards."""

from unitmean.pipeline.sources.images.source import Found, ImageSource, Request
from unitmean.pipeline.sources.images.webdataset import find_all


def find(request: Request) -> list[Found]:
    return find_all(request, ".parquet")


SOURCE = ImageSource(
    "parquet",
    "Parquet as on the Hugging Face hub: a folder, or names such as `val-*.parquet`",
    ("path",),
    find,
)
