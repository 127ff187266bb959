"""What Python files import, read from their text."""

from pathlib import Path

import pytest

from unitmean.disk.imports import imported_names, with_imports


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import a.b, c as d", {"a.b", "c"}),
        ("from a import b, c", {"a", "a.b", "a.c"}),
        ("from . import b", {".", ".b"}),
        ("from ..a import b", {"..a", "..a.b"}),
        ("def f():\n    import a", {"a"}),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", {"b"}),
    ],
)
def test_names_that_import_statements_name(text: str, names: set[str]) -> None:
    assert set(imported_names(text.encode())) == names


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("import torch, absent", []),
        ("import beside", ["beside"]),
        ("from beside import x", ["beside"]),
        ("import package", ["package/init", "beside"]),
        ("from package import part", ["package/init", "package/part", "package/deep/init", "beside"]),
        ("import package.deep.leaf", ["package/init", "package/deep/init", "package/deep/leaf", "beside"]),
        ("from plain import leaf", ["plain/leaf"]),
        ("this is no Python", []),
        ("x = '\0'", []),
    ],
)
def test_a_files_own_imports_are_found_through_others(tmp_path: Path, text: str, found: list[str]) -> None:
    write(tmp_path, main=text, beside="import main", unrelated="", plain__leaf="")
    write(tmp_path, package__init="import beside", package__part="from . import deep")
    write(tmp_path, package__deep__init="", package__deep__leaf="from .. import package")
    for init in tmp_path.rglob("init.py"):
        init.rename(init.with_name("__init__.py"))
    names = {"main", *found}
    expected = {tmp_path / f"{name.replace('init', '__init__')}.py" for name in names}
    assert set(with_imports(tmp_path / "main.py")) == expected
