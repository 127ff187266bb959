"""Killed or interrupted at random moments, every stage ends as it would have."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from nightly.faults.fault_project import ROUNDS, Project
from stage_server import STAGES, Ended, start

rounds = pytest.mark.parametrize("round_", range(ROUNDS))


@rounds
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT], ids=lambda sent: sent.name)
@pytest.mark.parametrize("stage", STAGES)
def test_stopped(project: Project, stage: str, sent: signal.Signals, round_: int) -> None:
    draw = random.Random(f"{stage} {sent.name} {round_}")
    latest = project.seconds[stage]
    while (ended := stopped(project, stage, sent, draw, latest)).code == 0:
        project.tally.late[sent.name] += 1
        latest *= 0.8
        assert latest > 0.01, f"{sent.name} stops {stage} at no moment"
    if sent == signal.SIGKILL:
        assert ended.code == -signal.SIGKILL, ended
    else:
        assert ended.code == 130, ended
        assert ended.words == f"interrupted: {stage} left nothing half-written; give the same command again\n"
    project.survives(sent.name, stage)


def stopped(project: Project, stage: str, sent: signal.Signals, draw: random.Random, latest: float) -> Ended:
    """How a stage ends that gets a signal at most `latest` seconds after its beginning."""
    project.prepare(stage, draw)
    running = start(project.server, project.folder, stage)
    time.sleep(draw.uniform(0, latest))
    with suppress(ProcessLookupError):  # where it has ended already
        os.kill(running.pid, sent)
    return running.end()


@rounds
@pytest.mark.parametrize("stage", ["verify_invariance"])
def test_interrupted_while_it_still_imports(project: Project, stage: str, round_: int) -> None:
    """As users start it: for the first seconds Python only imports."""
    draw = random.Random(f"imports {round_}")
    command = [sys.executable, "-X", "importtime", "-m", f"unitmean.pipeline.stages.{stage}"]
    project.prepare(stage, draw)
    with subprocess.Popen(command, cwd=project.folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        # Each line says that something was imported; the stage's own modules come before torch's last.
        wanted, lines = draw.randint(0, 400), 0
        words = ""
        for line in process.stderr:
            lines += words != "" or "unitmean.pipeline.stages" in line
            words = words or "begun" * ("unitmean.pipeline.stages" in line)
            if lines > wanted:
                break
        process.send_signal(signal.SIGINT)
        said = [line for line in process.stderr if not line.startswith("import time:")]
    assert process.returncode in (-signal.SIGINT, 130), (process.returncode, said)
    assert len(said) == 1 and said[0].startswith("interrupted: "), said
    project.survives("SIGINT while importing", stage)
