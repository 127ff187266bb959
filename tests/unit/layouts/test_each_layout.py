"""What a layout must be; docs/datasets.md holds a table of them.

`make docs` writes the table again.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from unitmean.errors import ConfigError
from unitmean.layouts import writing
from unitmean.layouts.kinds import layouts, names
from unitmean.layouts.writing import chosen
from unitmean.networks.architectures import Network, build
from unitmean.networks.inputs import CAFFE
from unitmean.networks.seeded import seeded
from unitmean.pipeline.config.choices import Export

PAGE = Path(__file__).resolve().parents[3] / "docs" / "datasets.md"
TABLE = re.compile(r"(?s)\| `rescale\.exports` \|.*?\n\n")


def table() -> str:
    rows = ["| `rescale.exports` | fits | loaded by |", "|---|---|---|"]
    rows += [f"| `{layout.name}` | {layout.fits} | {layout.program} |" for layout in layouts().values()]
    return "\n".join(rows) + "\n\n"


def test_every_layout_is_a_choice_and_a_row_of_the_page() -> None:
    assert [choice.value for choice in Export] == [*layouts(), "all"]
    assert table() in PAGE.read_text(encoding="utf-8"), "run `make docs`"


@pytest.mark.parametrize("name", names())
def test_a_layout_is_named_as_its_file_and_says_what_it_is(name: str) -> None:
    layout = layouts()[name]
    assert layout.name == name
    assert bool(layout.read) == bool(layout.keys)
    assert layout.fits and layout.program


def test_asking_for_the_names_imports_no_layout() -> None:
    code = "import sys, unitmean.layouts.kinds as k; k.names(); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def network() -> Network:
    state = {k: v for k, v in seeded("vgg16", 0, 3.0).items() if k.startswith("features.")}
    return build("vgg16", state, input=CAFFE)


@pytest.mark.parametrize("name", [name for name in names() if layouts()[name].needs])
def test_packages_that_are_missing_are_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=rf"rescale.exports={name} needs .*unitmean\[{name}\]"):
        chosen([name], network())


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    assert TABLE.search(text)
    PAGE.write_text(TABLE.sub(lambda _: table(), text), encoding="utf-8")
