"""The stages of dvc.yaml, each a thin program: read nouns, call a verb, write nouns."""

import os
import sys
from types import TracebackType

from unitmean.ending import INTERRUPTED, interrupted, note_interruptions
from unitmean.pipeline.config.own_code import run_own_code


def _briefly(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not interrupted(error):
        return sys.__excepthook__(kind, error, trace)
    print("interrupted: nothing had begun", file=sys.stderr, flush=True)
    if not isinstance(error, KeyboardInterrupt):  # for which Python's own status is right
        os._exit(INTERRUPTED)


# Imports take seconds, in which Ctrl-C ends in a traceback. `-m` stands in for the program's name only while
# `python -m` looks for it: nobody who imports a stage gets this hook.
if sys.argv[:1] == ["-m"]:
    note_interruptions()
    sys.excepthook = _briefly
    run_own_code()
