"""Two projects with the same settings hold the same bytes; another batch size changes rounding alone."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from scratch_project import copy_settings
from test_offline import STAGES, TINY

# Of a layer's largest mean. Convolutions sum in another order for another batch size.
TOLERANCE = 1e-5


def outputs(folder: Path, *overrides: str) -> dict[str, bytes]:
    """Every file under data/ once all stages have run in a new project there."""
    folder.mkdir()
    copy_settings(folder)
    code = f"import sys; sys.argv[1:] = {[*TINY.split(), *overrides]!r}\n"
    code += "\n".join(f"from unitmean.stages.{name} import {name}; {name}()" for name in STAGES.split())
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=os.environ, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return {str(p.relative_to(folder)): p.read_bytes() for p in (folder / "data").rglob("*") if p.is_file()}


@pytest.mark.slow
def test_two_projects_are_equal_and_batches_change_rounding_alone(tmp_path: Path) -> None:
    first = outputs(tmp_path / "first")
    assert len(first) > 20
    assert outputs(tmp_path / "second") == first
    assert outputs(tmp_path / "third", "collect.batch_size=3").keys() == first.keys()
    a, b = (pd.read_parquet(tmp_path / n / "data/alexnet/statistics.parquet") for n in ("first", "third"))
    difference = (b["mean"] - a["mean"]).abs() / a.groupby("site")["mean"].transform("max")
    assert 0 < difference.max() <= TOLERANCE
    print(f"{len(first)} files equal; means by another batch size within {difference.max():.1e}")
