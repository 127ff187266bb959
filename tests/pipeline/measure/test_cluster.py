"""Shards on a local Ray: the bits of this process, though a worker dies."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pipeline.measure.collecting_project import measurement

from unitmean.errors import ConfigError
from unitmean.pipeline.measure.cluster import by_ray

# In a process of its own: Ray warns of things that are errors here, and leaves threads behind.
PROGRAM = """
import os, signal, sys, tempfile, threading, time
from pathlib import Path
from pipeline.measure.collecting_project import images, measurement
import torch
import unitmean.pipeline.measure.cluster as cluster
from unitmean.pipeline.measure.collecting import collect

kill = sys.argv[1] == "kill"
folder = Path(tempfile.mkdtemp())
index, small = images(folder, 12), measurement()
made, original = [], cluster._workers

def watched(ray, *rest):
    made.extend(original(ray, *rest))
    made.append(ray.get(made[0].process.remote()))
    return made[:-1]

cluster._workers = watched
killed = []

def advance_and_kill(measurement, shards, advance):
    for i, sums in enumerate(cluster.by_ray(measurement, shards, advance)):
        if kill and i == 1:
            os.kill(made[-1], signal.SIGKILL)
            killed.append(made[-1])
        yield sums

here = collect(small, index, 2, folder / "local").sums
there = collect(small, index, 2, folder / "ray", engine=advance_and_kill).sums
names = ("mean", "mean_square", "square", "maximum", "active")
assert list(here) == list(there)
assert all(torch.equal(getattr(here[s], n), getattr(there[s], n)) for s in here for n in names)
print("equal", there["relu1_1"].images, "killed", len(killed))
"""


# Ray gives out as many GPUs as it is told that there are; the network runs on the CPU all the same.
GPUS = """
import os, tempfile
from pathlib import Path
from pipeline.measure.collecting_project import images, measurement
import ray
import torch
import unitmean.pipeline.measure.cluster as cluster
from unitmean.pipeline.measure.shards import local, shards

class Seeing(cluster.Worker):
    def of(self, images):
        sums = super().of(images)
        return {f"{os.environ['CUDA_VISIBLE_DEVICES']} {os.getpid()} {site}": sums[site] for site in sums}

cluster.Worker, original = Seeing, cluster._workers
cluster._workers = lambda ray, device, shared: original(ray, "cuda", shared)
ray.init(num_gpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
parts, small = shards(images(Path(tempfile.mkdtemp()), 12), 2), measurement()
places, equal = [], True
by_ray = cluster.by_ray(small, parts, lambda n: None)
for here, there in zip(local(small, parts, lambda n: None), by_ray, strict=True):
    places.append({tuple(name.split()[:2]) for name in there})
    equal &= all(torch.equal(a.mean, b.mean) for a, b in zip(here.values(), there.values(), strict=True))
(first,), (second,) = places[0], places[1]
assert places == [{first}, {second}] * 3, places
print("equal", equal, "GPUs", sorted((first[0], second[0])), "processes", len({first[1], second[1]}))
"""


def program(tmp_path: Path, text: str, mode: str = "") -> str:
    (tmp_path / "program.py").write_text(text)
    here = Path(__file__).resolve()
    path = os.pathsep.join([str(here.parents[2]), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), mode],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.mark.parametrize("mode", ["calm", "kill"])
def test_ray_gives_the_same_bits_though_a_worker_dies(tmp_path: Path, mode: str) -> None:
    pytest.importorskip("ray")
    assert f"equal 12 killed {int(mode == 'kill')}" in program(tmp_path, PROGRAM, mode)


def test_each_gpu_has_a_worker_of_its_own_and_shards_keep_their_order(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    assert "equal True GPUs ['0', '1'] processes 2" in program(tmp_path, GPUS)


def test_without_ray_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"collect.engine=ray needs Ray.*pip install 'unitmean\[ray\]'"):
        list(by_ray(measurement(), [], print))
