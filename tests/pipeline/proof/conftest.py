"""Small networks are shared with the tests of core."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "unit" / "graph"))
