"""Loaded by DVC before it composes conf/ for `dvc exp run -S`, so that it composes what `unitmean` does."""

import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
if (root / "src").is_dir():  # this project's schema, whichever checkout was installed
    sys.path.insert(0, str(root / "src"))

from unitmean.pipeline.config.registration import register  # noqa: E402

register(root / "conf")
