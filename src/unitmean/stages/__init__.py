"""The stages of dvc.yaml, each a thin program: read nouns, call a verb, write nouns."""

import sys
from types import TracebackType


def _briefly(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted: nothing had begun", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


# Imports take seconds, in which Ctrl-C ends in a traceback. `-m` stands in for the program's name only while
# `python -m` looks for it: nobody who imports a stage gets this hook.
if sys.argv[:1] == ["-m"]:
    sys.excepthook = _briefly
