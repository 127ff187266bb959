"""Which layouts fit, and what is written beside them."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from heads import good
from pipeline.exports.exported import COUNTS, named, stored

from unitmean.errors import WeightsError
from unitmean.layouts.writing import chosen
from unitmean.networks.architectures import Network, build
from unitmean.networks.inputs import CAFFE, TORCHVISION, Input
from unitmean.pipeline.exports.write import write_exports


def test_equal_weights_give_equal_bytes_and_old_files_go(tmp_path: Path) -> None:
    original = stored(TORCHVISION, 1)
    digests = []
    for layouts in (["torchvision", "adain"], ["adain"]):
        write_exports(tmp_path, named(*layouts), original, "0" * 64, 40, COUNTS)
        content = (tmp_path / "vgg19_normalised_adain.pth").read_bytes()
        digests.append(hashlib.sha256(content).hexdigest())
        assert len(list(tmp_path.glob("*.pth"))) == len(layouts)
    assert digests[0] == digests[1]
    assert f"`{digests[0]}`" in (tmp_path / "README.md").read_text()


def test_the_card_says_what_was_taken_of_a_checkpoint(tmp_path: Path) -> None:
    original = stored(TORCHVISION, 1)
    taken = "the checkpoint's ['ema'] was taken"
    noted = replace(original, metadata=original.metadata | {"notes": [taken, "1 other dict left out"]})
    for one, told in ((original, False), (noted, True)):
        write_exports(tmp_path, [], one, "0" * 64, 40, COUNTS)
        text = (tmp_path / "README.md").read_text()
        assert (f"| of that file | {taken}; 1 other dict left out |" in text) is told


def fitting(names: list[str], network: Network) -> list[str]:
    return [layout.name for layout in chosen(names, network)]


def test_all_means_all_that_fit() -> None:
    assert fitting(["all"], stored(CAFFE).network) == ["adain", "keras", "leongatys", "onnx", "torchvision"]
    assert fitting(["all"], stored(CAFFE, 5).network) == ["adain", "onnx", "torchvision"]
    assert fitting(["all"], stored(TORCHVISION).network) == ["adain", "onnx", "torchvision"]
    assert fitting(["adain", "torchvision", "adain"], stored(CAFFE).network) == ["adain", "torchvision"]
    assert fitting([], stored(CAFFE).network) == []


@pytest.mark.parametrize(
    ("layout", "input", "count", "words"),
    [
        (
            "neural_style_pt",
            CAFFE,
            16,
            "with a head.*found vgg19 with no head.*adain, keras, leongatys",
        ),
        ("leongatys", TORCHVISION, 16, "Caffe's input.*choose from adain, onnx, torchvision"),
        ("leongatys", CAFFE, 5, "all convolutions of vgg19.*found vgg19 with 5"),
        ("keras", CAFFE, 5, "all convolutions of vgg16 and vgg19.*found vgg19 with 5"),
        ("keras", TORCHVISION, 16, "Caffe's input.*found vgg19 with 16"),
    ],
)
def test_a_layout_that_does_not_fit(layout: str, input: Input, count: int, words: str) -> None:
    with pytest.raises(WeightsError, match=rf"rescale.exports={layout} doesn't fit: .*{words}"):
        chosen([layout], stored(input, count).network)


def test_batch_norm_does_not_fit_adain() -> None:
    weights = good("vgg11_bn", 1)
    network = build("vgg11_bn", weights, input=TORCHVISION)
    with pytest.raises(WeightsError, match="vgg without batch norm; found vgg11_bn.*onnx, torchvision"):
        chosen(["adain"], network)


def test_the_card_says_what_matters(tmp_path: Path) -> None:
    write_exports(tmp_path, named("torchvision", "adain"), stored(CAFFE), "f" * 64, 40, COUNTS)
    text = (tmp_path / "README.md").read_text()
    assert "Not for LPIPS or DISTS" in text and "CC BY 4.0" in text and "f" * 64 in text
    assert "| images | 7 of photographs |" in text and "| pooling and padding | max, zeros |" in text
    assert "103.939" in text and "2, 5, 9, 12, 16, 19" in text and "unitmean.load(" in text
    assert "None" not in text and "{" not in text
    assert "The mean activation of 6 of 9 channels is one" in text and "stand-in" not in text
    assert "2 are never, or hardly ever, active" in text and "1 must keep the factor one" in text


def test_the_card_of_random_weights_calls_them_a_stand_in(tmp_path: Path) -> None:
    made = stored(CAFFE)
    seeded = replace(made, metadata=made.metadata | {"source": {"kind": "seeded", "seed": 0}})
    write_exports(tmp_path, [], seeded, "f" * 64, 40, COUNTS)
    assert "**A stand-in:**" in (tmp_path / "README.md").read_text()
