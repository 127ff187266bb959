"""The layouts that are read and written: each file of this folder is one, its LAYOUT, named as the file.

Importing this must be quick, since the configuration's schema asks for the names: it imports no layout.
"""

import pkgutil
from functools import cache
from typing import TYPE_CHECKING

from unitmean.registry import registered

if TYPE_CHECKING:
    from unitmean.layouts.layout import Layout


def names() -> list[str]:
    """Every layout's name."""
    return [module.name for module in pkgutil.iter_modules(__path__)]


@cache
def layouts() -> "dict[str, Layout]":
    """Every layout by its name. To add one, add a file to this folder and a test."""
    from unitmean.layouts.layout import Layout

    return {layout.name: layout for layout in registered(__name__, "LAYOUT", Layout)}
