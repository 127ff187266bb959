"""The stages of dvc.yaml, each a thin program that reads files, calls one function, writes files."""

import os
import sys
from types import TracebackType

from unitmean.ending import INTERRUPTED, interrupted, note_interruptions
from unitmean.pipeline.config.own_code import run_own_code


def _briefly(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not interrupted(error):
        return sys.__excepthook__(kind, error, trace)
    print("interrupted: this stage had not begun", file=sys.stderr, flush=True)
    if not isinstance(error, KeyboardInterrupt):  # Python itself sets the right status for that
        os._exit(INTERRUPTED)


# Imports take seconds, during which Ctrl-C would end in a traceback. sys.argv[0] is "-m" only while
# `python -m` looks for the module, so that code which imports a stage doesn't get this hook.
if sys.argv[:1] == ["-m"]:
    note_interruptions()
    sys.excepthook = _briefly
    run_own_code()
