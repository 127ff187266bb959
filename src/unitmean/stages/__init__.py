"""The stages' former address, for scripts that run one: `python -m unitmean.stages.report`."""

from pathlib import Path

__path__ = [str(Path(__file__).parents[1] / "pipeline" / "stages")]
