"""`unitmean stylise` on a small network and small pictures."""

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from heads import good
from PIL import Image

from unitmean.cli import main
from unitmean.disk.progress import Bar
from unitmean.errors import ConfigError
from unitmean.layouts.files import save_weights
from unitmean.networks.inputs import TORCHVISION
from unitmean.pipeline.config.check import check
from unitmean.pipeline.config.compose import as_values, compose
from unitmean.style.pictures import write_picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """VGG-11 up to relu2_1, said to be normalised, and two pictures."""
    kept = good("vgg11", 3)
    metadata = {"model": "vgg11", "input": TORCHVISION.to_dict()}
    save_weights(tmp_path / "plain.safetensors", kept, metadata)
    save_weights(tmp_path / "normalised.safetensors", kept, metadata | {"rescale": {}})
    generator = torch.Generator().manual_seed(0)
    write_picture(tmp_path / "content.png", torch.rand(1, 3, 48, 64, generator=generator))
    write_picture(tmp_path / "style.png", torch.rand(1, 3, 64, 64, generator=generator) ** 3)
    return tmp_path


def stylise(folder: Path, *more: str) -> int:
    pictures = [str(folder / "content.png"), str(folder / "style.png")]
    out = ["--out", str(folder / "out.png"), "--size", "64", "--steps", "4"]
    return main(["stylise", *pictures, *out, "--weights", str(folder / "normalised.safetensors"), *more])


def test_it_writes_a_picture(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stylise(folder) == 0
    words = capsys.readouterr().out
    assert (
        "equal layer weights" in words and "relu1_1" in words and "relu2_1" in words and "in 4 steps" in words
    )
    first = np.asarray(Image.open(folder / "out.png"))
    assert first.shape == (48, 64, 3)
    # Darker, as the style is.
    assert first.mean() < np.asarray(Image.open(folder / "content.png")).mean() - 10
    assert stylise(folder) == 0
    assert np.array_equal(first, np.asarray(Image.open(folder / "out.png")))


def test_an_unnormalised_network_gets_the_authors_correction(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stylise(folder, "--weights", str(folder / "plain.safetensors"), "--optimiser", "adam") == 0
    assert "authors layer weights" in capsys.readouterr().out


def test_noise_in_two_sizes_with_previews(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stylise(folder, "--init", "noise", "--scales", "2", "--preview", "3", "--pooling", "max") == 0
    assert "in 8 steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--size", "16"], "--size must be at least 32; found 16"),
        (["--scales", str(10**12)], "--size must leave 32 pixels at the coarsest of --scales"),
        (["--scales", "3"], "--size must leave 32 pixels at the coarsest of --scales; found 64 and 3"),
        (["--steps", "0"], "--steps must be at least 1"),
        (["--style-weight", "0"], "--rate and --style-weight must be positive"),
        (["--out", "picture.jpg"], "--out must name a PNG file; found 'picture.jpg'"),
        (["--weights", "none.safetensors"], "a weights file must exist"),
        (["--content-layer", "relu9_9"], "found 'relu9_9'"),
    ],
)
def test_what_a_user_may_get_wrong(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert stylise(folder, *arguments) == 1
    found = capsys.readouterr().err
    assert found.startswith("error: ") and words in found
    assert not (folder / "out.png").exists()


def test_interrupted_it_keeps_the_picture_so_far(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def pressed(bar: Bar, count: int = 1) -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Bar, "advance", pressed)
    assert stylise(folder) == 130
    assert f"interrupted: {folder / 'out.png'} is the picture after 2 steps" in capsys.readouterr().err
    stopped = np.asarray(Image.open(folder / "out.png"))
    monkeypatch.undo()
    assert stylise(folder, "--steps", "2") == 0
    assert np.array_equal(stopped, np.asarray(Image.open(folder / "out.png")))


def test_a_picture_in_its_own_style_stays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, out = folder / "content.png", folder / "out.png"
    weights = ["--weights", str(folder / "normalised.safetensors")]
    assert main(["stylise", str(content), str(content), "--out", str(out), "--size", "64", *weights]) == 0
    assert "there was no loss in 0 steps" in capsys.readouterr().out
    assert np.array_equal(np.asarray(Image.open(content)), np.asarray(Image.open(out)))


def test_where_it_cannot_write_it_does_not_begin(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "taken").write_text("")
    (folder / "folder.png").mkdir()
    for out in (folder / "taken" / "out.png", folder / "folder.png"):
        assert stylise(folder, "--out", str(out), "--weights", "none.safetensors") == 1
        assert f"{str(out)!r} must be written; found: " in capsys.readouterr().err


def test_a_picture_that_is_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "style.png").unlink()
    assert stylise(folder) == 1
    assert "STYLE must be a picture; found nothing at" in capsys.readouterr().err
    (folder / "style.png").write_text("no picture")
    assert stylise(folder) == 1
    assert "must be an image that decodes completely" in capsys.readouterr().err


def test_the_papers_preset_and_sizes_that_leave_nothing() -> None:
    root = Path(__file__).resolve().parents[3]
    values = as_values(compose(root, ["transfer=gatys2016", "+exports=all"]))
    assert values["transfer"]["layer_weights"] == "authors" and values["transfer"]["style_weight"] == 2000
    assert values["transfer"]["init"] == "noise" and values["transfer"]["pixels"] == 512
    assert values["rescale"]["exports"] == ["all"]
    check(values, "params.yaml")
    values["transfer"]["scales"] = 6
    with pytest.raises(ConfigError, match="must leave 32 pixels at the coarsest .* which leave 16"):
        check(values, "params.yaml")
