"""A small project in which every stage ran once undisturbed, and what must be so after every fault."""

import os
import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from pathlib import Path

import yaml
from heads import conv2_1
from safetensors.torch import save_file
from scratch_project import copy_settings
from stage_server import STAGES, Ended, start

from unitmean.pipeline.config.compose import compose
from unitmean.pipeline.config.pipeline import read_pipeline

ROUNDS = int(os.environ.get("UNITMEAN_FAULTS", "1"))
IMAGES = 16
OVERRIDES = [
    "model=vgg11",
    "weights=file",
    "weights.path=conv2_1.safetensors",
    "weights.input=torchvision",
    f"dataset.count={IMAGES + 4}",
    "dataset.pixels=48",
    f"dataset.subset={IMAGES}",
    "preprocess.pixels=48",
    "audit.enabled=true",
    "audit.images=2",
    "audit.pixels=48",
    "audit.resizes=[warp]",
    "audit.paddings=[zeros]",
    "audit.poolings=[max]",
    "collect.batch_size=2",
    "collect.shard_size=2",
    "rescale.exports=[torchvision]",
    "rescale.max_dead_fraction=1",
    "hub.enabled=true",
    "verify.images=1",
    "verify.heldout=4",
    "transfer.pixels=48",
    "transfer.steps=2",
    "transfer.min_decrease=0",
    "transfer.content_layer=relu2_1",
    "transfer.style_layers=[relu1_1,relu2_1]",
]
OLD = b"what an earlier run left"


@dataclass
class Tally:
    """What was injected, by kind, and what came of it."""

    injected: Counter[str] = field(default_factory=Counter)
    survived: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)


@dataclass
class Project:
    """Each stage's files from `folder` and how long it took; every file's content."""

    server: ForkServerContext
    folder: Path
    tally: Tally
    outs: dict[str, list[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    expected: dict[str, bytes] = field(default_factory=dict)

    def run(self, stage: str) -> Ended:
        return start(self.server, self.folder, stage).end()

    def run_all(self) -> None:
        """The undisturbed run that all others are compared with."""
        steps = read_pipeline(self.folder, yaml.safe_load((self.folder / "params.yaml").read_text()))
        for stage in STAGES:
            running, began = start(self.server, self.folder, stage), time.monotonic()
            ended = running.end()
            assert ended.code == 0, ended.words
            self.seconds[stage] = time.monotonic() - began
            found = [self.folder / out for out in steps[stage].outs]
            files = [f for out in found for f in (sorted(out.rglob("*")) if out.is_dir() else [out])]
            self.outs[stage] = [str(file.relative_to(self.folder)) for file in files]
            self.expected |= {name: (self.folder / name).read_bytes() for name in self.outs[stage]}

    def prepare(self, stage: str, draw: random.Random) -> None:
        """As before a run: no outputs, or those of another run; nothing measured, or everything."""
        old = draw.random() < 0.5
        for name in self.outs[stage]:
            (self.folder / name).unlink(missing_ok=True)
            if old:
                (self.folder / name).parent.mkdir(exist_ok=True)
                (self.folder / name).write_bytes(OLD)
        if stage == "collect_statistics" and draw.random() < 0.75:
            shutil.rmtree(self.folder / ".partial", ignore_errors=True)

    def largest(self, stage: str) -> int:
        """Bytes of the stage's largest file."""
        return max((self.folder / name).stat().st_size for name in self.outs[stage])

    def survives(self, kind: str, stage: str) -> None:
        """Nothing half-written under a final name; the next run ends as if nothing had happened."""
        self.tally.injected[kind] += 1
        for name in self.outs[stage]:
            path = self.folder / name
            assert not path.exists() or path.read_bytes() in (OLD, self.expected[name]), (kind, stage, name)
        ended = self.run(stage)
        try:
            assert ended.code == 0, (kind, stage, ended.words)
            assert self.changed() == [], (kind, stage)
        except AssertionError:
            self.tally.lost[kind] += 1
            raise
        assert self.leftovers() == [], (kind, stage)
        self.tally.survived[kind] += 1

    def changed(self) -> list[str]:
        """The files that are not as the undisturbed run left them."""
        paths = {name: self.folder / name for name in self.expected}
        return [n for n, path in paths.items() if not path.is_file() or path.read_bytes() != self.expected[n]]

    def restore(self) -> None:
        """Mend what a test that failed has left, so that no other fails because of it."""
        if broken := self.changed() + self.leftovers():
            shutil.rmtree(self.folder / ".partial", ignore_errors=True)
        for path in (self.folder / name for name in broken):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for name in self.changed():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(self.expected[name])

    def leftovers(self) -> list[str]:
        """Temporary files; their names begin with a dot."""
        below = [self.folder / "data", self.folder / ".partial"]
        return [str(path.relative_to(self.folder)) for folder in below for path in folder.rglob(".*")]


def make(server: ForkServerContext, folder: Path, tally: Tally) -> Project:
    """The project, with the head of a VGG-11 that has seeded weights, after an undisturbed run."""
    settings(copy_settings(folder))
    project = Project(server, folder, tally)
    project.run_all()
    return project


def settings(folder: Path) -> None:
    """What the user brings: settings and weights."""
    (folder / "params.yaml").write_text(compose(folder, OVERRIDES))
    save_file(conv2_1(), folder / "conv2_1.safetensors")


def one_error(ended: Ended) -> bool:
    """A status other than 0, and one line that says why."""
    lines = ended.words.splitlines()
    return ended.code > 0 and len(lines) == 1 and lines[0].startswith("error: ")
