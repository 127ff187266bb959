"""`unitmean stylise` on a small network and small pictures."""

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from heads import good
from PIL import Image
from torch import Tensor

import unitmean
from unitmean.cli import main
from unitmean.disk.digest import sha256
from unitmean.disk.progress import Bar
from unitmean.layouts.files import save_weights
from unitmean.networks.inputs import TORCHVISION, Input
from unitmean.networks.seeded import seeded
from unitmean.style.losses import Parts, parts_of
from unitmean.style.pictures import write_picture
from unitmean.style.source import read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """VGG-11 up to relu2_1, said to be normalised, and two pictures."""
    kept = good("vgg11", 3)
    metadata = {"model": "vgg11", "input": TORCHVISION.to_dict()}
    save_weights(tmp_path / "plain.safetensors", kept, metadata)
    measured = {"model": {"pooling": "avg", "padding": "zeros"}}
    more = {"rescale": {}, "statistics": measured}
    save_weights(tmp_path / "normalised.safetensors", kept, metadata | more)
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
        (["--style-weight", "0"], "--style-weight must be positive; found 0.0"),
        (["--noise", "2"], "--noise must be from 0 to 1; found 2.0"),
        (["--optimiser", "lbfgs", "--rate", "0.1"], "--rate is Adam's; found 0.1 with --optimiser lbfgs"),
        (["--weights", "none"], "check --weights"),
        (["--out", "picture.gif"], "--out must name a PNG or JPEG file; found 'picture.gif'"),
        (["--weights", "none.safetensors"], "a weights file must exist"),
        (["--content-layer", "relu9_9"], "found 'relu9_9'"),
        (["--smooth", "inf"], "--smooth must be finite; found inf"),
        (["--style-weights", "inf"], "--style-weights must be finite; found [inf]"),
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


def test_a_picture_that_does_not_move_is_no_success(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, out = folder / "content.png", folder / "out.png"
    weights = ["--weights", str(folder / "normalised.safetensors")]
    assert main(["stylise", str(content), str(content), "--out", str(out), "--size", "64", *weights]) == 1
    found = capsys.readouterr()
    assert "style transfer must lower its loss; found a loss of 0 at the start" in found.err
    assert "nan" not in found.err + found.out and not out.exists()


def test_several_styles_in_their_places(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = torch.zeros(1, 3, 48, 64)
    half[..., 32:] = 1
    for name, mask in (("left", 1 - half), ("right", half)):
        write_picture(folder / f"{name}.png", mask)
    write_picture(folder / "light.png", torch.ones(1, 3, 64, 64))
    content, dark, light, out = (
        str(folder / name) for name in ("content.png", "style.png", "light.png", "out.jpg")
    )
    more = ["--size", "64", "--steps", "10", "--style-weights", "1", "2", "--smooth", "0.001"]
    masks = ["--masks", str(folder / "left.png"), str(folder / "right.png")]
    weights = ["--weights", str(folder / "normalised.safetensors"), "--style-scale", "0.8", "--noise", "0.1"]
    assert main(["stylise", content, dark, light, "-o", out, *more, *masks, *weights]) == 0
    with Image.open(out) as image:
        assert image.format == "JPEG"
        pixels = np.asarray(image).astype(float)
    assert pixels[:, :28].mean() < pixels[:, 36:].mean() - 8
    assert main(["stylise", content, dark, light, "-o", out, *more, *weights, "--original-colours"]) == 0


def proof(beside: Path, *, passed: bool, of: str | None = None) -> None:
    text = json.dumps({"passed": passed, "sha256": of or sha256(beside)})
    (beside.parent / "proof.json").write_text(text)


@pytest.fixture
def found_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The normalised file as in a project, in which the current folder lies."""
    monkeypatch.chdir(folder)
    (folder / "data" / "vgg11").mkdir(parents=True)
    return (folder / "normalised.safetensors").rename(folder / "data" / "vgg11" / "normalised.safetensors")


@pytest.mark.parametrize("state", ["failed", "of other bytes", "absent", "no JSON"])
def test_by_itself_it_takes_only_what_is_proved(
    folder: Path, found_by_itself: Path, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    if state == "no JSON":
        (found_by_itself.parent / "proof.json").write_text("[")
    elif state != "absent":
        proof(found_by_itself, passed=state != "failed", of="0" * 64 if state != "failed" else None)
    command = ["stylise", "content.png", "style.png", "--size", "64", "--steps", "2"]
    assert main(command) == 1
    words = capsys.readouterr().err
    assert "takes by itself only weights that are proved" in words and "run `unitmean repro`" in words
    assert ("a proof of it that failed" if state == "failed" else "no proof of it") in words
    assert not (folder / "content_style.png").exists()
    assert main([*command, "--weights", str(found_by_itself)]) == 0  # the user's own choice
    warned = "must be proved" in capsys.readouterr().err
    assert warned == (state in ("failed", "of other bytes"))


def test_the_picture_has_a_name_of_its_own(folder: Path, found_by_itself: Path) -> None:
    proof(found_by_itself, passed=True)
    assert main(["stylise", "content.png", "style.png", "--size", "64", "--steps", "2"]) == 0
    assert (folder / "content_style.png").is_file()


def test_a_use_that_was_not_measured_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stylise(folder, "--pooling", "max", "--padding", "reflect") == 0
    found = capsys.readouterr().err
    for key, measured, used in (("pooling", "avg", "max"), ("padding", "zeros", "reflect")):
        assert f"were measured with {key} '{measured}', the network is used with '{used}'" in found
    assert stylise(folder) == 0
    assert "warning" not in capsys.readouterr().err


def test_random_weights_are_called_a_stand_in(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metadata = {"model": "vgg11", "input": TORCHVISION.to_dict(), "source": {"kind": "seeded", "seed": 0}}
    save_weights(folder / "seeded.safetensors", good("vgg11", 3), metadata)
    assert stylise(folder, "--weights", str(folder / "seeded.safetensors")) == 0
    assert "seeded.safetensors is a stand-in: its weights are random numbers" in capsys.readouterr().err


def test_weights_of_another_program_need_their_pixels(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(good("vgg11", 3), folder / "other.pth")
    other = ["--weights", str(folder / "other.pth"), "--model", "vgg11"]
    assert stylise(folder, *other) == 1
    assert "give --input caffe" in capsys.readouterr().err
    assert stylise(folder, *other, "--input", "torchvision") == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "vgg16"], "model must be vgg11 or left out"),
        (["--input", "caffe"], "--input must be torchvision or left out"),
        (["--weights", "alexnet", "--model", "vgg16"], "model must be alexnet or left out"),
        (["--weights", "googlenet", "--input", "torchvision"], "--input must be left out"),
    ],
)
def test_options_that_contradict_the_weights_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert stylise(folder, *options) == 1
    assert words in capsys.readouterr().err


def test_options_that_say_what_the_weights_say_are_taken(folder: Path) -> None:
    assert stylise(folder, "--model", "vgg11", "--input", "torchvision") == 0


def test_published_weights_get_the_pixels_that_they_were_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision's networks that convert their input themselves take 0.5 and 0.5, without the conversion."""
    monkeypatch.setattr(
        "torchvision.models._api.WeightsEnum.get_state_dict",
        lambda weights, **_: seeded(type(weights).__name__.partition("_")[0].lower(), 0, 3.0),
    )
    assert read("googlenet").network.input == Input("rgb", 1.0, (0.5,) * 3, (0.5,) * 3)
    assert read("alexnet").network.input == TORCHVISION


def test_two_sizes_are_judged_by_the_loss_at_the_full_one(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each size has another loss, here sixteen times that of the smaller one."""

    def uneven(*arguments: Any) -> Parts:
        parts = parts_of(*arguments)
        scale = float(arguments[1].shape[-1]) ** 4

        def scaled(picture: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
            content, style, roughness = parts(picture)
            return scale * content, {k: scale * v for k, v in style.items()}, roughness

        return scaled

    monkeypatch.setattr("unitmean.style.stylise.parts_of", uneven)
    assert stylise(folder, "--scales", "2", "--init", "noise") == 0
    told = capsys.readouterr().out
    assert 0 < float(told.split("loss fell by ")[1].split("%")[0]) < 100


def test_the_library_has_the_same_words(folder: Path) -> None:
    pictures = [folder / "content.png", folder / "style.png"]
    weights = folder / "normalised.safetensors"
    result = unitmean.stylise(*pictures, weights=weights, size=64, steps=4, device="cpu")
    assert stylise(folder, "--device", "cpu") == 0
    written = np.asarray(Image.open(folder / "out.png"))
    assert np.array_equal((result.picture[0] * 255).round().permute(1, 2, 0).numpy(), written)
    with pytest.warns(UserWarning, match="measured with pooling 'avg', the network is used with 'max'"):
        unitmean.stylise(*pictures, weights=weights, size=64, steps=2, pooling="max")


def test_pictures_too_narrow_or_too_large(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (640, 20), "red").save(folder / "content.png")
    assert stylise(folder) == 1
    found = capsys.readouterr().err
    assert "must keep 32 pixels on its shorter side" in found and "640x20, which becomes 64x2" in found
    assert "at least 1024, or crop" in found
    monkeypatch.setattr("unitmean.style.pictures.MAX_PIXELS", 12000)
    Image.new("RGB", (640, 480), "red").save(folder / "content.png")
    assert stylise(folder) == 1
    assert "found 640x480" in (found := capsys.readouterr().err) and "make it at most 126x94" in found


def test_where_it_cannot_write_it_does_not_begin(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "taken").write_text("")
    (folder / "folder.png").mkdir()
    for out in (folder / "taken" / "out.png", folder / "folder.png"):
        assert stylise(folder, "--out", str(out), "--weights", "none.safetensors") == 1
        assert f"{str(out)!r} must be written; found: " in capsys.readouterr().err


def test_what_it_reads_is_not_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (content,) = [path for path in folder.iterdir() if path.stem == "content"]
    before = content.read_bytes()
    assert stylise(folder, "--out", str(content)) == 1
    assert "--out must not be a file that is read" in capsys.readouterr().err
    assert content.read_bytes() == before


def test_a_picture_that_is_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "style.png").unlink()
    assert stylise(folder) == 1
    assert "STYLE must be a picture; found nothing at" in capsys.readouterr().err
    (folder / "style.png").write_text("no picture")
    assert stylise(folder) == 1
    assert "must be an image that decodes completely" in capsys.readouterr().err
