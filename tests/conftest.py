"""Every test runs with shapes checked at run time; where tests run side by side, each on one thread."""

import os

from jaxtyping import install_import_hook

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported, here and in child processes

install_import_hook("unitmean", "beartype.beartype")
