"""The modules of this folder import one another, and those of the folder above."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))
