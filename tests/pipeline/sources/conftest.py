"""The modules of this folder import those beside the tests of the index."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "index"))
