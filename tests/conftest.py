"""Every test runs with shapes checked at run time."""

from jaxtyping import install_import_hook

install_import_hook("unitmean", "beartype.beartype")
