"""ImageNet's validation images, in the tar as downloaded or extracted, all of them."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from unitmean.pipeline.sources.images.folder import find
from unitmean.pipeline.sources.images.source import ImageSource

# Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015.
IMAGES = 50_000
NAME = "ILSVRC2012_val_{:08d}"


def missing(names: Iterable[str], expected: int) -> str:
    """The first few names that are missing; nothing where the images are named otherwise."""
    stems = {PurePosixPath(name).stem for name in names}
    if not any(re.fullmatch(r"ILSVRC2012_val_\d{8}", stem) for stem in stems):
        return ""
    lacking = [name for name in map(NAME.format, range(1, expected + 1)) if name not in stems]
    more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
    return f", missing {', '.join(lacking[:5])}{more}" if lacking else ""


SOURCE = ImageSource(
    "ilsvrc_val",
    "ImageNet's 50,000 validation images, the tar as downloaded or extracted",
    ("path",),
    find,
    IMAGES,
    missing,
)
