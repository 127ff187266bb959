"""Loaded by DVC before it composes conf/ for `dvc exp run -S`, so that it composes what `unitmean` does."""

from pathlib import Path

from unitmean.pipeline.config.registration import register

register(Path(__file__).resolve().parent.parent / "conf")
