"""The pipeline as a project of one's own, and as one command, by the installed package alone."""

import json
import shutil
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scratch_project import attempt, run
from torch import nn

from unitmean.pipeline.commands.exclusive import exclusive

UNITMEAN = [sys.executable, "-m", "unitmean"]
SMALL = ["preprocess.pixels=32", "verify.heldout=2", "verify.images=1", "rescale.max_dead_fraction=1"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs, mine (1)")
    random = np.random.default_rng(0)
    for number in range(8):
        pixels = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first two convolutions of a VGG-11, under torchvision's names."""
    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = {}
    for place, layer in ((0, nn.Conv2d(3, 64, 3)), (3, nn.Conv2d(64, 128, 3))):
        state |= {f"features.{place}.{name}": tensor for name, tensor in layer.state_dict().items()}
    path = tmp_path_factory.mktemp("weights") / "first.pth"
    torch.save(state, path)
    return path


@pytest.mark.slow
def test_a_project_of_ones_own_runs_without_a_checkout(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    assert "mine is ready" in run(tmp_path, *UNITMEAN, "init", "mine").stdout
    assert not (folder / "src").exists() and (folder / ".git").is_dir()
    assert "src/" not in (folder / "dvc.yaml").read_text().replace("# ", "")
    overrides = ["model=squeezenet1_1", "dataset.count=4", "dataset.pixels=40", "dataset.subset=3", *SMALL]
    out = run(folder, *UNITMEAN, "repro", *overrides, "--", "verify_invariance").stdout
    assert "channels normalised" in out
    assert run(folder, "dvc", "status", "--json", "verify_invariance").stdout.strip() == "{}"


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    result = attempt(tmp_path, *UNITMEAN, "init", "mine")
    assert result.returncode == 1 and "must be new or empty" in result.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]


def test_an_empty_folder_may_be_the_working_one(tmp_path: Path) -> None:
    assert "is ready" in run(tmp_path, *UNITMEAN, "init", ".").stdout
    assert {".git", "conf", "dvc.yaml", "params.yaml"} <= {path.name for path in tmp_path.iterdir()}
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith("new")]


@pytest.mark.slow
def test_a_file_and_photographs_become_a_proved_file(
    tmp_path: Path, weights: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = tmp_path / "out" / "normalised.safetensors"
    own = shutil.copy(weights, tmp_path / "own.pth")
    command = [*UNITMEAN, "normalise", str(own), str(photographs), "-o", str(out), "--model", "vgg11"]
    refused = attempt(tmp_path, *command)
    assert refused.returncode == 1 and not out.exists()
    assert "give weights.input=caffe" in refused.stderr and "weights.input is --input" in refused.stderr
    command += ["--images", "6", "--input", "torchvision", "--set", *SMALL]
    first = run(tmp_path, *command).stdout
    assert "channels normalised" in first and f"written: {out}" in first
    assert "MB in '" + str(tmp_path / "cache" / "unitmean") in first
    new, old = load_file(out), torch.load(weights)
    assert new.keys() == old.keys() and not torch.equal(new["features.0.weight"], old["features.0.weight"])
    assert (out.parent / "normalised.md").read_text().startswith("# vgg11, normalised")
    again = run(tmp_path, *command).stdout
    assert "collect_statistics" in first and "collect_statistics" not in again
    # Other weights under the same name are read, whatever was run with them in between.
    old["features.0.weight"] = -old["features.0.weight"]
    torch.save(old, own)
    caffe = [text.replace("torchvision", "caffe") for text in command]
    assert "contents of weights.path" in run(tmp_path, *caffe).stdout
    assert "collect_statistics" in run(tmp_path, *command).stdout
    ratio = (load_file(out)["features.0.weight"] / old["features.0.weight"]).flatten(1)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    assert (ratio > 0).all()
    alone = run(tmp_path, *["1" if text == "6" else text for text in command]).stdout
    assert "those of one image, so nothing says how well they hold for others" in alone
    (facts,) = (tmp_path / "cache").rglob("rescale.json")
    assert json.loads(facts.read_text())["standard_error"] is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({1: "nothing.pth"}, "WEIGHTS must be a file"),
        ({2: "nowhere"}, "PHOTOGRAPHS must be a folder"),
        ({6: "vgg99"}, "model must be one of"),
        ({4: "out/n.pt"}, "--out must name a safetensors file"),
        ({5: "--images", 6: "0"}, "error: --images must be at least 1; found 0: mend it there\n"),
        ({5: "--set", 6: "model.name=vgg13"}, "--set must name a setting that no argument of its own sets"),
        ({5: "--set", 6: "model=vgg13"}, "--set must name a setting that no argument of its own sets"),
        ({5: "--set", 6: "rescale.statistic=rms"}, "found 'rescale.statistic=rms': use the argument"),
        ({5: "--set", 6: "transfer.steps=9"}, "which only transfer_style would read"),
        ({5: "--set", 6: "rescale.quantile=0.9"}, "must be given only where it is read, with rescale.stat"),
        ({5: "--set", 6: "hub={enabled:false}"}, "give its keys one by one"),
        ({5: "--set", 6: "+experiment=style"}, "--set must name a setting that no argument of its own sets"),
        ({5: "--set", 6: "transfer=picture"}, "which only transfer_style would read"),
        ({5: "--set", 6: "audit.enabled=true"}, "which only audit_weights would read"),
        ({5: "--set", 6: "hub.enabled=true"}, "which only export_hub would read"),
        ({5: "--set", 6: "+exports=hub"}, "--set must name a setting that no argument of its own sets"),
    ],
)
def test_wrong_arguments_leave_nothing_behind(
    tmp_path: Path,
    weights: Path,
    photographs: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[int, str],
    words: str,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arguments = ["normalise", str(weights), str(photographs), "-o", "out/n.safetensors", "--model", "vgg11"]
    for place, value in changed.items():
        arguments[place] = value
    result = attempt(tmp_path, *UNITMEAN, *arguments)
    assert result.returncode == 1 and words in result.stderr and "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_lies_there_is_written_over(
    tmp_path: Path, weights: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    own = tmp_path / "own.safetensors"
    own.write_bytes(weights.read_bytes())
    (tmp_path / "n_hub").mkdir()
    (tmp_path / "n_hub" / "mine").write_text("mine")
    command = [*UNITMEAN, "normalise", str(own), str(photographs), "--model", "vgg11", "-o"]
    (tmp_path / "c.md").write_text("mine")
    for arguments, words in (
        (["c.safetensors"], "a card is written beside --out"),
        (["own.safetensors"], "must not be WEIGHTS itself"),
        (["new/../own.safetensors"], "must not be WEIGHTS itself"),
        (["n.safetensors", "--export", "hub"], "the hub's folder must be new"),
    ):
        result = attempt(tmp_path, *command, *arguments)
        assert result.returncode == 1 and words in result.stderr and "Traceback" not in result.stderr
    assert own.read_bytes() == weights.read_bytes()
    assert (tmp_path / "c.md").read_text() == (tmp_path / "n_hub" / "mine").read_text() == "mine"
    assert not (tmp_path / "cache").exists()


def test_of_two_commands_with_the_same_files_the_second_is_refused(
    tmp_path: Path, weights: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the first would run with the settings of the second."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    identity = "\n".join(["vgg11", str(weights), str(photographs)])
    project = tmp_path / "cache" / "unitmean" / sha256(identity.encode()).hexdigest()[:16]
    command = [*UNITMEAN, "normalise", str(weights), str(photographs), "-o", "n.safetensors"]
    project.mkdir(parents=True)
    with exclusive(project):
        result = attempt(tmp_path, *command, "--model", "vgg11")
    assert result.returncode == 1 and "one command at a time" in result.stderr
    assert not (project / "params.yaml").exists() and not (tmp_path / "n.safetensors").exists()


@pytest.mark.parametrize("command", [["configure"], ["repro", "--", "config"]])
def test_a_project_of_another_version_is_refused(tmp_path: Path, command: list[str]) -> None:
    run(tmp_path, *UNITMEAN, "init", "mine")
    (tmp_path / "mine" / "requirements.txt").write_text("unitmean[pipeline]==0.0.9\n")
    result = attempt(tmp_path / "mine", *UNITMEAN, *command)
    assert result.returncode == 1 and "unitmean 0.0.9" in result.stderr and "Traceback" not in result.stderr
