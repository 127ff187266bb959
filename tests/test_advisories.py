"""The vulnerability service that `make audit ADVISORIES=…` has for itself."""

import json
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from advisories import matching, read, serve

ADVISORY = """\
id: PYSEC-{id}
published: 2023-11-03T05:15:00Z
affected:
- package: {{ecosystem: PyPI, name: Example.Package}}
  {affected}
"""
ADVISED = {
    "1": "versions: ['1.0', 1.1rc1]",
    "2": "ranges: [{type: ECOSYSTEM, events: [{introduced: '2'}, {fixed: 2.3}, {introduced: '3.0'}]}]",
    "3": "ranges: [{type: ECOSYSTEM, events: [{introduced: '0'}, {last_affected: '0.5'}]}]",
    "4": "ranges: [{type: GIT, events: [{introduced: '0'}]}]",
    "5": "versions: ['1.0']\nwithdrawn: 2024-01-01T00:00:00Z",
}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "vulns" / "example-package"
    folder.mkdir(parents=True)
    for number, affected in ADVISED.items():
        text = ADVISORY.format(id=number, affected=affected)
        (folder / f"PYSEC-{number}.yaml").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("version", "found"),
    [
        ("1.0", ["1"]),
        ("1.1rc1", ["1"]),
        ("1.2", []),
        ("2.0", ["2"]),
        ("2.3", []),
        ("3.1", ["2"]),
        ("0.1a1", ["3"]),
        ("0.5", ["3"]),
        ("0.5.1", []),
    ],
)
def test_what_holds_for_a_version(clone: Path, version: str, found: list[str]) -> None:
    advisories = matching(read(clone), "example_package", version)
    assert [advisory["id"] for advisory in advisories] == [f"PYSEC-{number}" for number in found]


def test_the_query_is_answered_as_osv_does(clone: Path) -> None:
    server = serve(read(clone))

    def ask(name: str) -> dict[str, list[dict[str, str]]]:
        query = {"package": {"name": name, "ecosystem": "PyPI"}, "version": "1.0"}
        address = f"http://127.0.0.1:{server.server_port}/v1/query"
        with urlopen(Request(address, json.dumps(query).encode())) as answer:
            found: dict[str, list[dict[str, str]]] = json.load(answer)
            return found

    try:
        (advisory,) = ask("example.package")["vulns"]
        assert advisory["id"] == "PYSEC-1" and advisory["published"] == "2023-11-03T05:15:00Z"
        assert ask("another") == {}
    finally:
        server.shutdown()
        server.server_close()
