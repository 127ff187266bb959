"""`python -m unitmean.pipeline.commands.quietly repro …`: DVC without a word, but for what goes wrong.

DVC's own `--quiet` says nothing of that either, as where its cache can't be written.
"""

import logging
import sys

from dvc.cli import main
from dvc.stage.exceptions import StageCmdFailedError
from dvc.ui import ui

# By its own error, by Ctrl-C and by a signal to end, of each of which it says a word.
ENDED = tuple(f"exited with {status}" for status in (1, 130, 143))


def _is_news(record: logging.LogRecord) -> bool:
    """Whether nobody said it before: a stage that fails says itself why, unless it is killed."""
    error = record.exc_info[1] if record.exc_info else None
    cause = error and error.__cause__
    return not (isinstance(cause, StageCmdFailedError) and str(cause).endswith(ENDED))


def _main(arguments: list[str]) -> int:
    ui.enable = lambda: None
    for name in ("dvc", "dvc_objects", "dvc_data"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.ERROR)
        for handler in logger.handlers:
            handler.addFilter(_is_news)
    status: int = main(arguments)
    return status


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
