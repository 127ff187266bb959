import io

import pytest

from unitmean.disk import progress
from unitmean.disk.progress import watched


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "patience", "shown"), [
    (Terminal, -1.0, True),  # a terminal, and patience is over at once
    (Terminal, 60.0, False),
    (io.StringIO, -1.0, False),
])  # fmt: skip
def test_bar_shows_on_a_terminal_when_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], patience: float, shown: bool
) -> None:
    monkeypatch.setattr("sys.stderr", stderr := stream())
    monkeypatch.setattr(progress, "PATIENCE", patience)
    monkeypatch.setenv("TERM", "xterm")
    assert list(watched(iter("abc"), 3, "indexing", "letters")) == ["a", "b", "c"]
    assert ("indexing" in stderr.getvalue()) == shown
    assert bool(stderr.getvalue()) == shown
