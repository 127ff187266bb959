"""What was measured by other code or other libraries is not used again."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from pipeline.measure.collecting_project import images, measurement

from unitmean.pipeline.measure import source_code
from unitmean.pipeline.measure.measurement import LIBRARIES, MODULES
from unitmean.pipeline.measure.source_code import code_hash, imported_by, libraries_of

SRC = source_code.SRC
# Imported by the measuring code, but they touch no number: annotations, progress, files from elsewhere,
# tables of where images lie, and weights as they are (their hash is part of the key).
NO_NUMBERS = {"fsspec", "h5py", "jaxtyping", "pyarrow", "rich", "safetensors", "sympy"}


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package's files, to be changed."""
    shutil.copytree(
        SRC / "unitmean", tmp_path / "src" / "unitmean", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(source_code, "SRC", tmp_path / "src")
    return tmp_path / "src"


def test_the_key_changes_with_each_module_that_measuring_depends_on_and_no_other(
    copy: Path, tmp_path: Path
) -> None:
    work, shown = measurement(), images(tmp_path, 2)
    key = work.key(shown)
    changing = []
    for path in sorted(copy.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        path.write_text(text + "# changed\n", encoding="utf-8")
        if replace(work).key(shown) != key:
            changing.append(path.relative_to(copy).as_posix())
        path.write_text(text, encoding="utf-8")
    assert replace(work).key(shown) == key
    assert changing == imported_by(*MODULES)
    needed = ["decode.py", "graph/relations.py", "networks/inputs.py", "pipeline/index/preprocess.py"]
    assert {f"unitmean/{path}" for path in [*needed, "statistics/moments.py", "layouts/files.py"]} <= set(
        changing
    )
    assert not [path for path in changing if "/style/" in path or "/report/" in path or "/transfer/" in path]


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.__name__)
def test_the_key_changes_with_the_version_of_a_library(
    library: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, shown = measurement(), images(tmp_path, 2)
    key = work.key(shown)
    others = [other for other in LIBRARIES if other is not library]
    newer = SimpleNamespace(__name__=library.__name__, __version__="99")
    monkeypatch.setattr("unitmean.pipeline.measure.measurement.LIBRARIES", (newer, *others))
    assert replace(work).key(shown) != key


def test_every_library_that_measuring_imports_is_in_the_key_or_touches_no_number() -> None:
    named = {library.__name__ for library in LIBRARIES}
    assert libraries_of(*MODULES) - sys.stdlib_module_names == named | NO_NUMBERS


def test_the_hash_knows_files_by_name_and_content(copy: Path) -> None:
    first = code_hash("unitmean.statistics.moments")
    (copy / "unitmean" / "statistics" / "added.py").write_text("")
    assert code_hash("unitmean.statistics.moments") == first
    with (copy / "unitmean" / "statistics" / "moments.py").open("a") as file:
        file.write("from unitmean.statistics import added\n")
    second = code_hash("unitmean.statistics.moments")
    (copy / "unitmean" / "statistics" / "added.py").write_text("# changed\n")
    assert len({first, second, code_hash("unitmean.statistics.moments")}) == 3


def test_of_a_registry_all_that_may_register_counts() -> None:
    found = imported_by("unitmean.pipeline.sources.fetch")
    assert {f"unitmean/pipeline/sources/weights/{name}.py" for name in ("url", "seeded")} <= set(found)
    # … and what these import in turn.
    assert {"unitmean/networks/seeded.py", "unitmean/pipeline/disk/download.py"} <= set(found)
