"""README's table of what the default run prints is what it prints, of the figures that git keeps.

`make docs` writes it again.
"""

from pathlib import Path

import pytest

from unitmean.pipeline.commands.figures import figures
from unitmean.pipeline.config.compose import compose

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"


def table() -> str:
    rows = figures(ROOT / "data" / "vgg19")
    return "".join(f"| {label} | {figure} |\n" for label, figure in [("", ""), ("---", "---"), *rows])


def around() -> tuple[str, str, str]:
    """README before the table, the table, README behind it."""
    before, _, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition(BEGIN)
    within, _, behind = rest.partition(END)
    return before + BEGIN, within, END + behind


def test_the_table_is_what_the_default_run_prints() -> None:
    if (ROOT / "params.yaml").read_text(encoding="utf-8") != compose(ROOT):
        pytest.skip("params.yaml is not the default's, so the figures may be another run's")
    assert around()[1] == table()


def test_no_difference_at_all_is_said_as_none(tmp_path: Path) -> None:
    (tmp_path / "invariance.json").write_text('{"float64_log10": -17.0, "mean_error_log10": -4.0}')
    assert [figure for _, figure in figures(tmp_path)] == ["0", "1.0e-04"]


def main() -> None:
    before, _, behind = around()
    (ROOT / "README.md").write_text(before + table() + behind, encoding="utf-8")


if __name__ == "__main__":
    main()
