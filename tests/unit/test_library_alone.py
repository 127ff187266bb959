"""The library works without the pipeline's packages, and the command line names what is missing."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# How the distributions of the extra `pipeline` are imported.
MODULES = {
    "dvc": "dvc",
    "fsspec": "",  # torch itself needs it
    "hydra-core": "hydra",
    "jinja2": "",  # torch itself needs it
    "matplotlib": "matplotlib",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "pyyaml": "yaml",
    "psutil": "psutil",
    "requests": "requests",
    "torchcodec": "torchcodec",
}
WITHOUT = """
import sys
for name in {names!r}:
    sys.modules[name] = None  # importing it raises ModuleNotFoundError
"""
NORMALISES = """
import torch, unitmean
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
batches = [torch.rand(8, 3, 8, 8) for _ in range(4)]
result = unitmean.normalise(model, batches)
model.load_state_dict(result.state)
again = unitmean.measure(model, batches, result.plan)["1"].expectation()
live = [c for c in range(4) if c not in result.dead.get("1", [])]
assert live and (again[live] - 1).abs().max() < 1e-5
loaded = sorted({{name.partition(".")[0] for name in sys.modules}} & set({names!r}))
assert all(sys.modules[name] is None for name in loaded)
print("normalised", "unitmean.pipeline" in sys.modules)
"""
COMMAND = """
from unitmean.cli import main
sys.exit(main(sys.argv[1:]))
"""


def names() -> list[str]:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return [
        MODULES[requirement.partition(">")[0]]
        for requirement in extra["pipeline"]
        if MODULES[requirement.partition(">")[0]]
    ]


def alone(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = (WITHOUT + program).format(names=names())
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


def test_a_network_is_normalised() -> None:
    result = alone(NORMALISES)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "normalised False\n"


@pytest.mark.parametrize("command", ["repro", "configure", "audit"])
def test_a_command_of_the_pipeline_names_the_extra(command: str) -> None:
    result = alone(COMMAND, command)
    assert result.returncode in {1, 2} and "Traceback" not in result.stderr
    assert "pip install 'unitmean[pipeline]'" in result.stderr or "the following arguments" in result.stderr


def test_it_says_its_version() -> None:
    result = alone(COMMAND, "--version")
    assert result.returncode == 0 and result.stdout.startswith("unitmean 0.")
