"""docs/licences.md lists the licence of every package that requirements.txt pins.

`make docs` writes it again, from the metadata of what is installed.
"""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
# Whose metadata say nothing: NVIDIA's, and two whose wheels only hold the text of their licence.
SILENT = {"cuda-toolkit", "namex", "torchcodec"}
HEAD = """\
# Licences

Of every package that `requirements.txt` pins, as its own metadata says: the SPDX expression, else the
classifiers, else the free text's first line. A package that isn't needed on the platform where this page
was written says so. `make docs` writes the page; a test holds its names to
`requirements.txt`.

| package | licence |
|---|---|
"""


def pinned() -> list[str]:
    """The names in requirements.txt, normalised (PEP 503), each once."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    found = (re.match(r"[A-Za-z0-9][\w.-]*", line) for line in lines)
    return sorted({re.sub(r"[-_.]+", "-", match[0]).lower() for match in found if match})


def licence(name: str) -> str:
    try:
        found = metadata(name)
    except PackageNotFoundError:
        return "not installed here"
    if expression := "".join(found.get_all("License-Expression", [])):
        return expression
    kinds = [c.rpartition(" :: ")[2] for c in found.get_all("Classifier", []) if c.startswith("License ::")]
    text = "".join(found.get_all("License", [])).strip().splitlines()
    return ", ".join(kinds) or (text[0][:60] if text else "not said")


def rows(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\| ([a-z0-9-]+) \| (.+) \|$", text, re.MULTILINE))


def test_every_pinned_package_is_listed_with_its_licence() -> None:
    listed = rows(PAGE.read_text(encoding="utf-8"))
    listed.pop("package", None)
    assert sorted(listed) == pinned(), "run `make docs` to write it again"
    assert [name for name, words in listed.items() if words == "not said" and name not in SILENT] == []


def test_known_licences_are_found() -> None:
    assert (
        "BSD" in licence("torch")
        and "Apache" in licence("dvc")
        and licence("no-such") == "not installed here"
    )


if __name__ == "__main__":
    body = "".join(f"| {name} | {licence(name)} |\n" for name in pinned())
    PAGE.write_text(HEAD + body, encoding="utf-8")
