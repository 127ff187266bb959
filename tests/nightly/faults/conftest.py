"""One small project for all faults, and their count at the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from nightly.faults.fault_project import Project, Tally, make
from stage_server import serve

TALLY = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TALLY] = Tally()


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Tally:
    return request.config.stash[TALLY]


@pytest.fixture(scope="session")
def undisturbed(tally: Tally, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make(serve(), Path(tmp_path_factory.mktemp("faults")), tally)


@pytest.fixture
def project(undisturbed: Project) -> Iterator[Project]:
    """The same for every fault, whatever became of the fault before."""
    yield undisturbed
    undisturbed.restore()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tally = config.stash.get(TALLY, Tally())
    if not tally.injected:
        return
    terminalreporter.section("faults")
    for kind, count in tally.injected.items():
        late = f", {tally.late[kind]} more came too late" if tally.late[kind] else ""
        terminalreporter.line(f"{kind}: {count} injected, {tally.survived[kind]} survived{late}")
    terminalreporter.line(
        f"faults injected: {tally.injected.total()}, survived: {tally.survived.total()}, "
        f"data lost: {tally.lost.total()}"
    )
