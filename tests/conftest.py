"""Every test runs with shapes checked at run time; where tests run side by side, each on one thread."""

import os
import signal
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from jaxtyping import install_import_hook

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported, here and in child processes
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Programs that a script starts in the background, and their children, ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

install_import_hook("unitmean", "beartype.beartype")


@pytest.fixture
def gpu() -> Iterator[None]:
    """The machine's GPU or, where there is none, a pretended one."""
    import torch
    from pretended_gpu import pretended

    with nullcontext() if torch.cuda.is_available() else pretended():
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    import torch

    gpu = (
        torch.cuda.get_device_name() if torch.cuda.is_available() else "none here; tests use a pretended one"
    )
    terminalreporter.write_line(f"GPU: {gpu}")
