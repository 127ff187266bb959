"""What every bad input, and every odd one that is accepted, comes to; docs/bad-input.md is this table.

`make docs` runs every case and writes the page again.
"""

import contextlib
import io
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import bad_archives
import bad_images
import bad_labels
import bad_settings
import bad_weights
import pytest
from bad_case import Case
from scratch_project import composed, copy_settings

from unitmean import cli
from unitmean.pipeline.config import compose as composition
from unitmean.pipeline.stages.config import config
from unitmean.pipeline.stages.fetch_weights import fetch_weights
from unitmean.pipeline.stages.index_images import index_images

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "bad-input.md"
STAGES: dict[str, Callable[[], None]] = {
    "index_images": index_images,
    "fetch_weights": fetch_weights,
    "config": config,
}
SECTIONS: dict[str, list[Case]] = {
    "Images": bad_images.IMAGES,
    "Archives": bad_archives.ARCHIVES,
    "Zip": bad_archives.ZIPS,
    "Parquet": bad_archives.PARQUET,
    "Labels": bad_labels.LABELS,
    "Weights": bad_weights.WEIGHTS,
    "Pictures for style transfer": bad_images.PICTURES,
    "Settings": bad_settings.SETTINGS,
    "params.yaml edited by hand": bad_settings.BY_HAND,
}
CASES = [case for cases in SECTIONS.values() for case in cases]
HEAD = """\
# Bad input

What becomes of each input that is broken, hostile or merely odd. `tests/test_bad_input.py` makes every one of
them, runs the command and holds this page to what came out; `make docs` writes the page.

Of a refused input the exit status is 1, standard error begins with `error:`, there is no traceback, and no
file has appeared or changed. Each section says the command; a row that adds to it says so. `/project` stands
for the project's folder.
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """conf/, dvc.yaml and params.yaml, which each case copies."""
    return copy_settings(tmp_path_factory.mktemp("settings"))


def run(case: Case, folder: Path) -> SimpleNamespace:
    """The exit status, both streams, and the files that appeared or changed; errors not foreseen come out."""
    case.make(folder)
    before = files(folder)
    out, err, code = io.StringIO(), io.StringIO(), 0
    name, *arguments = case.command.split() + list(case.more)
    with (
        mock.patch.object(composition, "compose", lambda _, overrides=(): composed(*overrides)),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        if name == "unitmean":
            code = cli.main(arguments)
        else:
            try:
                with mock.patch.object(sys, "argv", [name, *arguments]):
                    STAGES[name]()
            except SystemExit as end:
                code = int(str(end.code))
    after = files(folder)
    changed = sorted(path for path in before | after if before.get(path) != after.get(path))
    # What hangs on the folder's name, on conf/ and on how a file is packed is no part of the page.
    text = re.sub(r"\b0?[0-9a-f]{11,64}\b", "…", err.getvalue().replace(str(folder), "/project"))
    return SimpleNamespace(code=code, out=out.getvalue(), err=text, changed=changed)


def files(folder: Path) -> dict[str, bytes]:
    """Every file's content; the folder for downloads is no result."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found if ".partial" not in p.parts}


def row(case: Case, result: SimpleNamespace) -> str:
    given = [f"`{word}`" for word in case.more]
    shown = "<br>".join(given if case.more == (case.what,) else [case.what, *given])
    words = f"refused: {result.err.removeprefix('error: ').strip()}" if case.refused else case.outcome
    return f"| {shown} | {escaped(words)} |"


def escaped(text: str) -> str:
    return re.sub(r"([|*_<>\[\]`~\\])", r"\\\1", " ".join(text.split()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_the_input_comes_to_what_the_page_says(case: Case, project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(project, folder)
    result = run(case, folder)
    if case.refused:
        assert result.code == 1, result.out + result.err
        assert result.err.startswith("error: ") and "Traceback" not in result.err
        assert re.search(case.outcome, result.err), result.err
        assert result.changed == []
        assert not [path for path in tmp_path.iterdir() if path != folder]
    else:
        assert result.code == 0, result.err
        assert "Traceback" not in result.err
        assert case.check is not None
        case.check(folder)
    assert row(case, result) in PAGE.read_text(encoding="utf-8").splitlines(), (
        "run `make docs` to write docs/bad-input.md again"
    )


def test_the_page_has_no_other_rows() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == len(CASES) + len(SECTIONS)


def document() -> Iterator[str]:
    yield HEAD
    with tempfile.TemporaryDirectory() as name:
        base = copy_settings(Path(name) / "settings")
        for title, cases in SECTIONS.items():
            shown = re.sub(r"^(?!unitmean)", "python -m unitmean.pipeline.stages.", cases[0].command)
            yield f"## {title}\n\n`{shown}`\n\n| input | outcome |\n|---|---|"
            for i, case in enumerate(cases):
                folder = Path(name) / title / str(i)
                shutil.copytree(base, folder)
                yield row(case, run(case, folder))
                if case.check:
                    case.check(folder)
            yield ""


if __name__ == "__main__":
    PAGE.write_text("\n".join(document()), encoding="utf-8")
