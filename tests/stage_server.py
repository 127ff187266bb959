"""Stages as programs of their own that start at once: forked from a server that has imported everything."""

import importlib
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import NamedTuple

STAGES = (
    "fetch_weights",
    "index_images",
    "audit_weights",
    "collect_statistics",
    "rescale_weights",
    "verify_invariance",
    "export_weights",
    "transfer_style",
    "report",
    "export_hub",
)
READY = b"ready\n"


class Ended(NamedTuple):
    """A stage's exit status, negative for a signal, and all that it printed."""

    code: int
    words: str


@dataclass(frozen=True)
class Running:
    """A stage that is about to begin."""

    process: ForkServerProcess
    printed: Connection

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def end(self) -> Ended:
        """Wait for it."""
        words = b""
        while some := os.read(self.printed.fileno(), 1 << 16):
            words += some
        self.printed.close()
        self.process.join()
        assert self.process.exitcode is not None
        return Ended(self.process.exitcode, words.decode())


def serve(stages: Sequence[str] = STAGES) -> ForkServerContext:
    """The server; it starts with the first stage."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"unitmean.pipeline.stages.{stage}" for stage in stages])
    return context


def start(
    server: ForkServerContext,
    folder: Path,
    stage: str,
    overrides: Sequence[str] = (),
    limit: int | None = None,
    before: Callable[[], None] | None = None,
) -> Running:
    """Start a stage that may write files of `limit` bytes; returns where its own code begins.

    The new process calls `before` first, which can lay a trap for the stage.
    """
    mine, its = multiprocessing.Pipe(duplex=False)
    process = server.Process(target=program, args=(its, folder, stage, list(overrides), limit, before))
    process.start()
    its.close()
    begun = b""
    while begun != READY:
        some = os.read(mine.fileno(), len(READY) - len(begun))
        assert some, begun
        begun += some
    return Running(process, mine)


def program(
    printed: Connection,
    folder: Path,
    stage: str,
    overrides: list[str],
    limit: int | None,
    before: Callable[[], None] | None,
) -> None:
    """What the new process runs. What it prints goes through a pipe, which no limit on files concerns."""
    os.dup2(printed.fileno(), 1)
    os.dup2(printed.fileno(), 2)
    run = getattr(importlib.import_module(f"unitmean.pipeline.stages.{stage}"), stage)
    os.chdir(folder)
    sys.argv = [stage, *overrides]
    if limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then writing fails with EFBIG
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if before is not None:
        before()
    os.write(1, READY)
    try:
        run()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # how multiprocessing ends is not the stage's affair
