"""What stopped a program, in one line."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from unitmean.ending import ending_in_words, note_interruptions
from unitmean.errors import DataError


def stopped_by(error: BaseException) -> int:
    def work() -> int:
        raise error

    return ending_in_words("work", work)


def test_an_error_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert stopped_by(DataError("images must be images; found none: bring some")) == 1
    assert capsys.readouterr().err == "error: images must be images; found none: bring some\n"


def test_an_error_of_the_system(capsys: pytest.CaptureFixture[str]) -> None:
    assert stopped_by(OSError(28, "No space left on device", "file")) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: work must be able to read and write files; found at 'file': No space left")


def test_an_error_that_is_not_ours_passes() -> None:
    with pytest.raises(ValueError, match="a bug"):
        stopped_by(ValueError("a bug"))


@pytest.mark.parametrize("disguised", [False, True])
def test_an_interruption_even_if_a_library_makes_another_error_of_it(
    disguised: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            if disguised:
                raise ValueError("could not determine the shape of object type") from None
            raise
        return 0

    assert ending_in_words("work", work) == 130
    assert (
        capsys.readouterr().err
        == "interrupted: work left nothing half-written; give the same command again\n"
    )
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interruption_that_a_library_swallowed_before(capsys: pytest.CaptureFixture[str]) -> None:
    note_interruptions()
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    assert ending_in_words("work", lambda: 0) == 130
    assert capsys.readouterr().err.startswith("interrupted: work ")
    assert stopped_by(DataError("another time")) == 1


def test_who_ignores_interruptions_goes_on_doing_so() -> None:
    def work() -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return 0

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert ending_in_words("work", work) == 0
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_asked_to_end_it_tidies_up(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    number = signal.Signals[name]
    before = signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may ignore it, as nohup does

    def work() -> int:
        with TemporaryDirectory(dir=tmp_path):
            os.kill(os.getpid(), number)
            time.sleep(5)
        return 0

    try:
        with pytest.raises(SystemExit) as ended:
            ending_in_words("work", work)
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert ended.value.code == 128 + number and not list(tmp_path.iterdir())
    assert capsys.readouterr().err == f"ended by {name}: work left nothing half-written\n"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_what_it_ignores_does_not_end_it() -> None:
    def work() -> int:
        os.kill(os.getpid(), signal.SIGHUP)
        return 0

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as by nohup
    try:
        assert ending_in_words("work", work) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


PROGRAM = """
import sys
from unitmean.ending import ending_in_words
from unitmean.errors import DataError

def work():
    for _ in range({lines}):
        print("words")
    if {fails}:
        raise DataError("images must be images; found none: bring some")
    return 0

sys.exit(ending_in_words("work", work))
"""


def program(lines: int = 1, *, fails: bool = False) -> list[str]:
    return ["-c", PROGRAM.format(lines=lines, fails=fails)]


def status_and_words(arguments: list[str], stdout: int, unbuffered: str = "") -> tuple[int, str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, *arguments]
    result = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment)
    return result.returncode, result.stderr


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe that nobody reads."""
    reads, writes = os.pipe()
    os.close(reads)
    yield writes
    os.close(writes)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("lines", [1, 100_000])
def test_where_nobody_reads_on_it_ends_without_a_word(unread: int, lines: int, unbuffered: str) -> None:
    """As in `unitmean --completion bash | head -1`: whether or not the words fit into Python's buffer."""
    assert status_and_words(program(lines), unread, unbuffered) == (141, "")


def test_help_that_nobody_reads_ends_without_a_word(unread: int) -> None:
    assert status_and_words(["-m", "unitmean", "--help"], unread) == (141, "")


def test_an_error_is_said_even_where_nobody_reads_what_was_printed(unread: int) -> None:
    words = "error: images must be images; found none: bring some\n"
    assert status_and_words(program(fails=True), unread) == (1, words)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a disk that is always full")
def test_a_full_disk_is_told_of_even_if_words_are_still_in_the_buffer() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    status, words = status_and_words(program(), full)
    os.close(full)
    assert status == 1 and words.startswith("error: work must be able to read and write files; found: No ")
    assert "Exception ignored" not in words
