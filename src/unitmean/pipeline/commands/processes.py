"""Commands that are started here, and ended before whoever started them ends."""

import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psutil

PATIENCE = 20.0  # seconds before processes that don't end are killed
LONELY = 5.0  # seconds after which Ctrl-C was meant for this program, and the command doesn't know of it


def status_of(command: Sequence[str], **how: Any) -> int:
    """The exit status of a command; `how` is as for subprocess.Popen.

    On Ctrl-C, which it gets from a terminal as well, it may end in its own way: `subprocess.run` would kill
    it, and DVC would leave its locks behind. Where it doesn't end, it is told. A signal to end, which it
    doesn't get, is passed on to it and all that it started.
    """
    with subprocess.Popen(command, **how) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            try:
                process.wait(LONELY)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                _end_started()
                process.wait()
            raise
        except SystemExit:  # as `ending` makes of such a signal
            _end_started()
            process.wait()
            raise


def _end_started() -> None:
    """Interrupt what was started here, end what that started, and kill what doesn't end.

    DVC ends by itself once its stage has, also where it ignores Ctrl-C, as in the background of a script.
    """
    own = psutil.Process()
    direct, started = own.children(), own.children(recursive=True)
    for process in started:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT if process in direct else signal.SIGTERM)
    _, left = psutil.wait_procs(started, timeout=PATIENCE)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
