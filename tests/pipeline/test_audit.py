"""A normalised file is known from one as trained, in any layout, and compared with its original."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from heads import conv2_1
from PIL import Image
from safetensors.torch import load_file, save_file
from scratch_project import copy_settings

from unitmean.api import measure
from unitmean.cli import main
from unitmean.graph.analysis import analyse
from unitmean.layouts.files import save_weights
from unitmean.networks.architectures import build
from unitmean.networks.inputs import TORCHVISION
from unitmean.pipeline.audit.published import read_published
from unitmean.pipeline.index.batches import batches
from unitmean.pipeline.index.containers import list_images
from unitmean.pipeline.index.index import Index, build_rows
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.statistics.factors import choose

PREPROCESSING = Preprocessing("warp", 32)
MODEL = "vgg11"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images, the first two layers of a network as made, and normalised on them."""
    folder = tmp_path_factory.mktemp("audit")
    (folder / "images").mkdir()
    generator = torch.Generator().manual_seed(0)
    for i in range(8):
        pixels = torch.randint(0, 256, (6, 6, 3), generator=generator, dtype=torch.uint8).numpy()
        Image.fromarray(pixels).resize((60, 40)).save(folder / "images" / f"{i}.png")
    path = folder / "images"
    rows, _ = build_rows(path, list_images(path), str(path), seed=0, skip=False)
    index = Index(tuple(rows), path)
    kept = conv2_1()
    module = build(MODEL, kept, input=TORCHVISION).module
    plan = analyse(module, torch.zeros(1, 3, 32, 32), outputs="normalise")
    shown = [TORCHVISION.apply(x) for x in batches(index, PREPROCESSING, 8)]
    mean = {site: moments.expectation() for site, moments in measure(module, shown, plan).items()}
    factors = choose(plan, mean, {site: m > 0 for site, m in mean.items()})
    new = plan.rescale(factors, kept)
    save_file(kept, folder / "original.safetensors")
    save_file(new, folder / "normalised.safetensors")
    save_weights(folder / "own.safetensors", new, {"model": MODEL, "input": TORCHVISION.to_dict()})
    short = {key: value for key, value in new.items() if key != "features.3.bias"}
    save_file(short, folder / "short.safetensors")
    wrong = {key: value.clone() for key, value in new.items()}
    wrong["features.3.weight"][5, 3] *= 1.01
    save_file(wrong, folder / "wrong.safetensors")
    return folder


def run(patch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    patch.chdir(folder)
    return main(["audit", "--images", "images", "--model", MODEL, "--size", "32", *arguments])


def test_the_measurement_it_was_made_by_comes_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(monkeypatch, folder, "normalised.safetensors", "--original", "original.safetensors")
    words = capsys.readouterr().out
    first = words.splitlines()[4].split()
    assert status == 0, words
    assert first[:5] == ["warp", "32", "torchvision", "zeros", "max"] and float(first[5]) < 1e-3
    assert "\nnormalised:" in words and "same function as original.safetensors" in words


def test_a_file_as_trained_is_not_normalised(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, folder, "original.safetensors") == 1
    assert "NOT normalised" in capsys.readouterr().out


def test_another_function_is_told_by_its_tensor(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(monkeypatch, folder, "wrong.safetensors", "--original", "original.safetensors")
    words = capsys.readouterr().out
    assert status == 1
    assert "NOT the function of original.safetensors" in words and "features.3.weight: 9 numbers off" in words


def test_what_is_left_out_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copytree(folder / "images", tmp_path / "photos")
    (tmp_path / "photos" / "notes.txt").write_text("none")
    (tmp_path / "photos" / "cut.png").write_bytes((folder / "images" / "0.png").read_bytes()[:60])
    monkeypatch.chdir(folder)
    arguments = ["--images", str(tmp_path / "photos"), "--model", MODEL, "--size", "32"]
    assert main(["audit", *arguments, "normalised.safetensors"]) == 0
    words = capsys.readouterr().out
    assert "8 of 9 images in" in words and "over 8 images" in words
    assert "skipped, does not decode: cut.png: " in words
    assert "left out as no images: 1 .txt" in words
    shutil.rmtree(tmp_path / "photos")
    (tmp_path / "photos").mkdir()
    assert main(["audit", *arguments, "normalised.safetensors"]) == 1
    assert "--images must hold images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.pth"], "a weights file must exist"),
        (["nothing.pth"], "check FILE"),
        (["short.safetensors"], "check the file, and --model"),
        (["own.safetensors", "--model", "vgg16"], "model must be vgg11 or left out"),
        (["normalised.safetensors", "--limit", "1"], "--limit must be at least 2"),
        (["normalised.safetensors", "--size", "0"], "--size must be at least 1 pixel"),
        (
            ["normalised.safetensors", "--original", "images/0.png"],
            "must be a PyTorch, safetensors or Keras file",
        ),
    ],
)
def test_mistakes_are_told(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    assert run(monkeypatch, folder, *arguments) == 1
    assert words in capsys.readouterr().err


def test_a_file_of_this_package_says_which_network_it_is_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    arguments = ["audit", "--images", "images", "--size", "32", "own.safetensors"]
    assert main([*arguments, "--original", "original.safetensors"]) == 0
    said = capsys.readouterr()
    assert "own.safetensors: vgg11" in said.out
    assert said.err.count("spread") == 12  # a line a candidate, without a terminal


def test_channels_that_a_run_left_alone_do_not_decide(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some channels of a proper file are hardly ever active: they were, and stay, at a mean far below one."""
    state = load_file(folder / "normalised.safetensors")
    path = folder / "images"
    rows, _ = build_rows(path, list_images(path), str(path), seed=0, skip=False)
    (shown,) = batches(Index(tuple(rows), path), PREPROCESSING, 8)
    features = build(MODEL, state, input=TORCHVISION).module.get_submodule("features")
    assert isinstance(features, torch.nn.Sequential)
    with torch.no_grad():  # lowered so far that one image alone makes them active
        second = features[:4](TORCHVISION.apply(shown)).amax((2, 3)).sort(0).values[-2]
    state["features.3.bias"][::3] -= second[::3]
    save_file(state, folder / "seldom.safetensors")
    assert run(monkeypatch, folder, "seldom.safetensors") == 0
    words = capsys.readouterr().out
    assert words.splitlines()[4].split()[:5] == ["warp", "32", "torchvision", "zeros", "max"]
    assert "\nnormalised:" in words and "not judged, since too few images make them active" in words


def test_sums_are_kept_by_the_weights_as_they_were_read(folder: Path) -> None:
    path = folder / "original.safetensors"
    one, again = (read_published(path, MODEL) for _ in range(2))
    other = replace(again, state=again.state | {"features.0.bias": 2 * again.state["features.0.bias"]})
    assert one.digest == again.digest != other.digest


def test_a_configuration_without_a_data_set_is_told(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copy_settings(tmp_path))
    Path("params.yaml").write_text("model: {name: vgg11}\n")
    assert main(["audit", str(folder / "original.safetensors"), "--model", MODEL]) == 1
    assert "params.yaml" in capsys.readouterr().err
