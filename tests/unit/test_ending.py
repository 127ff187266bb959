"""What stopped a program, in one line."""

import contextlib
import os
import signal
import time

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
        capsys.readouterr().err == "interrupted: work left nothing half-written; the same command goes on\n"
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
