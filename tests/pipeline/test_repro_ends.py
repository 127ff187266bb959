"""`unitmean repro` that is asked to end, or killed, while a stage is at work."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from scratch_project import copy_project

from unitmean.disk.leftovers import claimed

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and locks of POSIX")
COMMAND = [sys.executable, "-m", "unitmean", "repro", "dataset.count=100000", "--", "index_images"]

AtWork = tuple[subprocess.Popen[str], list[psutil.Process]]


def environment(folder: Path) -> dict[str, str]:
    own = {"DVC_SITE_CACHE_DIR": str(folder / ".dvc/tmp/site"), "PYTHONPATH": str(folder / "src")}
    return {**os.environ, **own}


@pytest.fixture(params=["in front", "in the background of a script"])
def at_work(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[AtWork]:
    """A run whose stage draws images for hours, and all that it started; its words are in tmp_path / "said".

    In the background of a script programs ignore Ctrl-C.
    """
    copy_project(tmp_path)
    before = signal.getsignal(signal.SIGINT)
    if request.param != "in front":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with (tmp_path / "said").open("w") as said:
        run = subprocess.Popen(
            COMMAND, cwd=tmp_path, env=environment(tmp_path), stdout=said, stderr=subprocess.STDOUT, text=True
        )
    signal.signal(signal.SIGINT, before)
    started: list[psutil.Process] = []
    try:
        while not any("unitmean.pipeline.stages.index_images" in _words(p) for p in started):
            assert run.poll() is None, "it ended before the stage began"
            time.sleep(0.05)
            started = psutil.Process(run.pid).children(recursive=True)
        yield run, started
    finally:
        run.kill()
        run.wait()
        for process in started:
            if process.is_running():
                process.kill()


def _words(process: psutil.Process) -> list[str]:
    try:
        words: list[str] = process.cmdline()
        return words
    except psutil.Error:
        return []


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_asked_to_end_it_ends_what_it_started(at_work: AtWork, tmp_path: Path) -> None:
    run, started = at_work
    run.send_signal(signal.SIGTERM)
    assert run.wait() == 128 + signal.SIGTERM
    assert not alive(started)
    # DVC said so itself, and was not killed.
    assert re.search(r"index_images, exited with (-15|143)$", (tmp_path / "said").read_text(), re.M)
    with claimed(tmp_path / ".partial" / "repro.lock"):
        pass


# A child that takes its time to end, as DVC does while a stage is busy, and who waits for it.
SLOW = """
import signal, sys, time
from pathlib import Path

def end(number, frame):
    time.sleep(1)
    Path("ended").touch()
    sys.exit(3)

signal.signal(signal.SIGINT, end)
Path("begun").touch()
time.sleep(60)
"""
WAITING = """
import sys
from unitmean.ending import ending_in_words
from unitmean.pipeline.commands.processes import status_of
sys.exit(ending_in_words("it", lambda: status_of([sys.executable, "slow.py"])))
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_is_asked_to_end_may_do_so_in_its_own_time(tmp_path: Path, number: int, status: int) -> None:
    """A terminal sends Ctrl-C to all, `kill` a signal to one. DVC, if it were killed then, would leave its
    locks behind."""
    (tmp_path / "slow.py").write_text(SLOW)
    run = subprocess.Popen(
        [sys.executable, "-c", WAITING], cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not (tmp_path / "begun").exists():
        assert run.poll() is None, "it ended before it began"
        time.sleep(0.05)
    (child,) = psutil.Process(run.pid).children()
    if number == signal.SIGINT:
        os.killpg(run.pid, number)
    else:
        run.send_signal(number)
    assert run.wait() == status
    assert (tmp_path / "ended").exists()
    assert not child.is_running()  # nor left for others to wait for


def test_killed_it_leaves_the_project_to_dvc(at_work: AtWork, tmp_path: Path) -> None:
    run, started = at_work
    run.kill()
    run.wait()
    assert alive(started)  # nobody can end with a process that is killed
    params = (tmp_path / "params.yaml").read_bytes()
    second = subprocess.run(
        [*COMMAND[:4], "dataset.seed=1"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert second.returncode == 1 and "error: one command at a time" in second.stderr
    assert (tmp_path / "params.yaml").read_bytes() == params
    for process in started:
        process.kill()
    psutil.wait_procs(started)
    with claimed(tmp_path / ".partial" / "repro.lock"):
        pass
