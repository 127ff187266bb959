"""Every export, read back into what it came from and run in the other program's own way.

The other programs' networks are built here anew, from their documented keys, never by the package.
"""

import os
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from heads import empty, good
from pipeline.exports.exported import COUNTS, METADATA, named, stored
from torch import nn
from torchvision import models

from unitmean.layouts.kinds.adain import LAYOUT, preprocessing
from unitmean.layouts.networks import Stored
from unitmean.layouts.reading import canonical
from unitmean.layouts.writing import chosen
from unitmean.networks.architectures import build
from unitmean.networks.inputs import CAFFE, TORCHVISION, Input
from unitmean.networks.loaded import Loaded
from unitmean.networks.seeded import seeded
from unitmean.pipeline.exports.write import write_exports

VGG19: list[int | str] = [64, 64, "P", 128, 128, "P", *[256] * 4, "P", *[512] * 4, "P", *[512] * 4, "P"]


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))


def same(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal but for float32's rounding, which the largest activations set."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.max()))


def adain_encoder() -> nn.Sequential:
    """The encoder as AdaIN and WCT build it."""
    layers: list[nn.Module] = [nn.Conv2d(3, 3, 1)]
    channels = 3
    for width in VGG19[:-1]:
        if width == "P":
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))
        else:
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, int(width), 3), nn.ReLU()]
            channels = int(width)
    return nn.Sequential(*layers)


class Leongatys(nn.Module):
    """Named convolutions, applied in order, zero-padded."""

    def __init__(self) -> None:
        super().__init__()
        channels, block, place = 3, 1, 0
        for width in VGG19:
            if width == "P":
                block, place = block + 1, 0
            else:
                place += 1
                setattr(self, f"conv{block}_{place}", nn.Conv2d(channels, int(width), 3, padding=1))
                channels = int(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        block, place = 1, 0
        for width in VGG19:
            if width == "P":
                x, block, place = nn.functional.max_pool2d(x, 2, 2), block + 1, 0
            else:
                place += 1
                x = getattr(self, f"conv{block}_{place}")(x).relu()
        return x


def caffe_pixels(x: torch.Tensor) -> torch.Tensor:
    """BGR in 0..255 less the mean, as those programs prepare them."""
    return x.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)


@pytest.mark.parametrize("input", [CAFFE, TORCHVISION, Input("bgr", 1.0, (0.1, 0.2, 0.3), (0.3, 0.2, 0.1))])
def test_adain_is_read_back_and_runs_to_the_same(
    input: Input, pictures: torch.Tensor, tmp_path: Path
) -> None:
    original = stored(input)
    write_exports(tmp_path, named("adain"), original, "0" * 64, 40, COUNTS)
    written = torch.load(tmp_path / "vgg19_normalised_adain.pth", weights_only=True)
    found = canonical(written, "vgg19")
    assert found.layout == "adain" and found.input == input
    assert list(found.state_dict) == list(original.state)
    assert all(torch.equal(found.state_dict[key], value) for key, value in original.state.items())

    encoder = adain_encoder()
    encoder.load_state_dict(written)  # strict: every key has its place
    own = Loaded(build("vgg19", original.state, padding="reflect", input=input))
    ours = own.activations(pictures, ["relu1_1", "relu3_1", "relu5_4"])
    with torch.no_grad():
        for layer, end in (("relu1_1", 4), ("relu3_1", 18), ("relu5_4", 53)):
            same(encoder[:end](pictures), ours[layer])


def test_leongatys_is_read_back_and_runs_to_the_same(pictures: torch.Tensor, tmp_path: Path) -> None:
    original = stored(CAFFE)
    write_exports(tmp_path, named("leongatys"), original, "0" * 64, 40, COUNTS)
    written = torch.load(tmp_path / "vgg19_normalised_leongatys.pth", weights_only=True)
    found = canonical(written, "vgg19")
    assert (found.layout, found.input) == ("leongatys", CAFFE)
    assert all(torch.equal(found.state_dict[key], value) for key, value in original.state.items())
    network = Leongatys()
    network.load_state_dict(written)
    ours = Loaded(original.network).activations(pictures, ["relu5_4"])["relu5_4"]
    with torch.no_grad():
        theirs = network(caffe_pixels(pictures))
    # Theirs ends before pool5, as its last pooling is no layer.
    same(theirs, nn.functional.max_pool2d(ours, 2, 2))


def test_torchvision_without_a_head(pictures: torch.Tensor, tmp_path: Path) -> None:
    original = stored(TORCHVISION, 5)
    write_exports(tmp_path, named("torchvision"), original, "0" * 64, 40, COUNTS)
    written = torch.load(tmp_path / "vgg19_normalised_torchvision.pth", weights_only=True)
    assert canonical(written, "vgg19").state_dict.keys() == original.state.keys()
    with torch.device("meta"):
        module = models.vgg19()
    assert module.load_state_dict(written, strict=False, assign=True).unexpected_keys == []
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = (pictures - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    with torch.no_grad():
        theirs = module.features[:12](pixels)
    torch.testing.assert_close(Loaded(original.network)(pictures), theirs)


def neural_style_pt(path: str) -> nn.Module:
    """The network as that program builds it: which one, it reads from the path in small letters."""
    path = path.lower()
    assert "vgg" in path and not any(word in path for word in ("pruning", "fcn32s", "sod"))
    deep = "19" in path
    assert deep or "16" in path
    layers: list[nn.Module] = []
    channels = 3
    for block, width in enumerate((64, 128, 256, 512, 512)):
        for _ in range(2 if block < 2 else 3 + deep):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2, 2))
    module = nn.Module()
    module.features = nn.Sequential(*layers)
    module.classifier = nn.Sequential(
        *[nn.Linear(512 * 7 * 7, 4096), nn.ReLU(True), nn.Dropout()],
        *[nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout()],
        nn.Linear(4096, 1000),
    )
    return module


@pytest.mark.parametrize("model", ["vgg16", "vgg19"])
def test_neural_style_pt_with_its_head(model: str, tmp_path: Path) -> None:
    """It loads strictly, classifier too, though it runs the features only."""
    end = {"vgg16": 26, "vgg19": 30}[model]
    weights = empty(model) | good(model, end)
    original = Stored(build(model, weights, input=CAFFE), weights, METADATA)
    write_exports(tmp_path / "x", named("neural_style_pt"), original, "0" * 64, 224, COUNTS)
    (path,) = (tmp_path / "x").glob("*.pth")
    with torch.device("meta"):
        module = neural_style_pt(path.name)
    written = torch.load(path, weights_only=True, mmap=True)
    module.load_state_dict(written, assign=True)
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    ours = Loaded(original.network).activations(x, ["relu5_1"])["relu5_1"]
    with torch.no_grad():
        theirs = module.get_submodule("features")[:end](caffe_pixels(x))  # type: ignore[index]
    torch.testing.assert_close(ours, theirs)
    found = canonical(written, model).state_dict
    assert found.keys() == weights.keys() and all(torch.equal(found[key], weights[key]) for key in weights)


@pytest.mark.parametrize("input", [CAFFE, TORCHVISION])
def test_onnx_runs_in_onnxruntime(input: Input, pictures: torch.Tensor, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    original = stored(input, 3)
    write_exports(tmp_path, chosen(["onnx"], original.network), original, "0" * 64, 40, COUNTS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md",
        "card.json",
        "vgg19_normalised_onnx.onnx",
    ]
    session = onnxruntime.InferenceSession(tmp_path / "vgg19_normalised_onnx.onnx")
    names = ["relu1_1", "relu1_2", "relu2_1", "output"]
    assert [output.name for output in session.get_outputs()] == names
    ours = Loaded(original.network).activations(pictures, names)
    for found, name in zip(session.run(names, {"image": pictures.numpy()}), names, strict=True):
        np.testing.assert_allclose(found, ours[name].numpy(), rtol=1e-4, atol=1e-4 * found.max())
    # Any batch and any size, as there is no head.
    other = pictures[:1, :, :33, :21].contiguous()
    (found,) = session.run(["relu2_1"], {"image": other.numpy()})
    expected = Loaded(original.network).activations(other, ["relu2_1"])["relu2_1"].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.max())


@pytest.mark.parametrize("model", ["squeezenet1_1", "resnet18"])
def test_onnx_with_a_head_is_the_classifier(model: str, tmp_path: Path) -> None:
    """Logits as torchvision's own module gives them, as near float64's as float32 comes; any batch."""
    onnxruntime = pytest.importorskip("onnxruntime")
    weights = seeded(model, 0, 1.0)
    original = Stored(build(model, weights, input=TORCHVISION), weights, METADATA)
    write_exports(tmp_path, chosen(["onnx"], original.network), original, "0" * 64, 64, COUNTS)
    content = (tmp_path / f"{model}_normalised_onnx.onnx").read_bytes()
    # The exporter notes in which source file each operator stands.
    assert b'File "' not in content and str(Path(__file__).resolve().parents[3]).encode() not in content
    session = onnxruntime.InferenceSession(tmp_path / f"{model}_normalised_onnx.onnx")
    ours = Loaded(original.network)
    names = [output.name for output in session.get_outputs()]
    assert names == [*ours.names, "output"] and len(names) > 5
    card = (tmp_path / "README.md").read_text()
    assert "n x 3 x 64 x 64" in card and all(f"`{name}`" in card for name in names)
    theirs = models.get_model(model).eval()
    theirs.load_state_dict(weights)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    exact = deepcopy(ours).double()
    for count in (3, 1):
        x = torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(count))
        found = dict(zip(names, session.run(names, {"image": x.numpy()}), strict=True))
        with torch.no_grad():
            rounded, expected = ours.activations(x, names), exact.activations(x.double(), names)
            logits = theirs((x - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1))
        torch.testing.assert_close(rounded["output"], logits, rtol=0, atol=1e-5 * float(logits.abs().max()))
        for name in names:
            noise = (rounded[name] - expected[name]).abs().max()
            assert (torch.from_numpy(found[name]) - expected[name]).abs().max() < 4 * noise


def test_the_published_file_comes_out_as_it_went_in(tmp_path: Path) -> None:
    if "UNITMEAN_REAL" not in os.environ:
        pytest.skip("UNITMEAN_REAL names no folder with the published weights")
    path = Path(os.environ["UNITMEAN_REAL"]) / "weights" / "vgg_normalised_conv3_1.pth"
    published = torch.load(path, weights_only=True)
    found = canonical(published, "vgg19")
    assert found.input is not None
    network = build("vgg19", found.state_dict, input=found.input)
    LAYOUT.write(tmp_path / "again.pth", network, found.state_dict, 224)
    again = torch.load(tmp_path / "again.pth", weights_only=True)
    assert again.keys() == published.keys()
    assert all(torch.equal(again[key], value) for key, value in published.items())


def test_the_preprocessing_convolution_is_the_input() -> None:
    x = torch.rand(1, 3, 5, 4, dtype=torch.float64)
    for input in (CAFFE, TORCHVISION, Input("bgr", 2.0, (0.1, 0.2, 0.3), (3.0, 4.0, 5.0))):
        weight, bias = preprocessing(input)
        found = nn.functional.conv2d(x, weight.double(), bias.double())
        torch.testing.assert_close(found, input.apply(x), rtol=1e-6, atol=1e-4)
