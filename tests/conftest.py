"""Every test runs with shapes checked at run time; where tests run side by side, each on one thread."""

import os
import signal

from jaxtyping import install_import_hook

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported, here and in child processes
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Programs that a script starts in the background, and their children, ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

install_import_hook("unitmean", "beartype.beartype")
