"""What a card says of loading a file, executed as it stands: out comes the network that was measured."""

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from heads import good
from pipeline.exports.exported import COUNTS, METADATA, named, state
from safetensors.torch import load_file, save_file
from torch import nn

from unitmean.disk.atomic import writing
from unitmean.errors import WeightsError
from unitmean.layouts.kinds import layouts
from unitmean.layouts.kinds.torchvision import loading
from unitmean.layouts.layout import State
from unitmean.layouts.networks import Stored
from unitmean.layouts.writing import chosen
from unitmean.networks.architectures import Network, Padding, Pooling, build
from unitmean.networks.inputs import CAFFE, TORCHVISION
from unitmean.networks.seeded import well_behaved
from unitmean.networks.skeleton import skeleton
from unitmean.pipeline.disk.documents import read_json
from unitmean.pipeline.exports.write import write_exports


def weights(name: str, classes: int | None = None) -> dict[str, torch.Tensor]:
    return dict(well_behaved(skeleton(name, classes), 0))


def code_of(markdown: str) -> str:
    """The lines that are indented by four spaces."""
    return textwrap.dedent("\n".join(re.findall(r"(?m)^    .*$", markdown)))


def executed(code: str, **names: object) -> dict[str, object]:
    exec(code, names)
    return names


def same(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def only_features(tensors: State) -> State:
    return {key: value for key, value in tensors.items() if key.startswith("features.")}


def up_to_relu3(tensors: State) -> State:
    return {key: value for key, value in tensors.items() if re.match(r"features\.[036]\.", key)}


def without_fc(tensors: State) -> State:
    return {key: value for key, value in tensors.items() if not key.startswith("fc.")}


def whole(tensors: State) -> State:
    return tensors


@pytest.mark.filterwarnings("ignore::FutureWarning")  # googlenet's, on another default initialisation
@pytest.mark.parametrize(
    ("name", "classes", "pooling", "padding", "kept"),
    [
        ("squeezenet1_1", None, "avg", "zeros", whole),
        ("squeezenet1_1", 10, "max", "reflect", whole),
        ("alexnet", 10, "avg", "reflect", whole),
        ("shufflenet_v2_x0_5", None, "max", "zeros", whole),  # batch norm, whose statistics training changes
        ("densenet121", 10, "avg", "zeros", whole),  # average pooling of its own too
        ("googlenet", None, "max", "zeros", whole),  # in training its output is a tuple
        ("resnet18", None, "max", "zeros", without_fc),
        ("alexnet", None, "avg", "zeros", only_features),
        ("alexnet", None, "max", "zeros", up_to_relu3),
    ],
)
def test_torchvisions_module_computes_what_was_measured(
    name: str, classes: int | None, pooling: Pooling, padding: Padding, kept: object, tmp_path: Path
) -> None:
    assert callable(kept)
    tensors = kept(weights(name, classes))
    network = build(name, tensors, pooling=pooling, padding=padding, input=TORCHVISION)
    stored = Stored(network, tensors, METADATA)
    write_exports(tmp_path, named("torchvision"), stored, "0" * 64, 96, COUNTS)
    save_file(
        {key: value.contiguous() for key, value in tensors.items()}, tmp_path / "normalised.safetensors"
    )
    x = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network.module(x)
    card = read_json(tmp_path / "card.json")
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        for code in (code_of(card["files"][0]["how"]), card["canonical"]):
            found = executed(code, torch=torch, torchvision=torchvision, load_file=load_file)["network"]
            assert isinstance(found, nn.Module) and not found.training
            before = {key: value.clone() for key, value in found.state_dict().items()}
            with torch.inference_mode():
                same(found(x), expected)
            assert all(torch.equal(before[key], value) for key, value in found.state_dict().items())
    finally:
        os.chdir(here)


def test_what_is_usual_is_not_said() -> None:
    network = build("squeezenet1_1", weights("squeezenet1_1"), input=TORCHVISION)
    assert loading(network, "STATE").split("\n") == [
        "    network = torchvision.models.squeezenet1_1()",
        "    network.load_state_dict(STATE)",
        "    network.eval()",
    ]


def vgg19(pooling: Pooling = "max", padding: Padding = "zeros") -> Network:
    return build("vgg19", state(16), pooling=pooling, padding=padding, input=CAFFE)


def adain_encoder(blocks: int) -> nn.Sequential:
    """The first blocks of the encoder as AdaIN and WCT build it."""
    parts: list[nn.Module] = [nn.Conv2d(3, 3, 1)]
    channels = 3
    for width, count in list(zip((64, 128, 256, 512, 512), (2, 2, 4, 4, 4), strict=True))[:blocks]:
        for _ in range(count):
            parts += [nn.ReflectionPad2d(1), nn.Conv2d(channels, width, 3), nn.ReLU()]
            channels = width
        parts.append(nn.MaxPool2d(2, ceil_mode=True))
    return nn.Sequential(*parts[:-1])


@pytest.mark.parametrize(("pooling", "padding"), [("avg", "reflect"), ("max", "reflect"), ("avg", "zeros")])
def test_adains_encoder_computes_what_was_measured(
    pooling: Pooling, padding: Padding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = state(16)
    network = vgg19(pooling, padding)
    how = layouts()["adain"].how("x.pth", network, 40)
    layouts()["adain"].write(tmp_path / "x.pth", network, tensors, 40)
    monkeypatch.chdir(tmp_path)
    vgg = executed(code_of(how), torch=torch, vgg=adain_encoder(5))["vgg"]
    assert isinstance(vgg, nn.Sequential)
    assert ("measured with zero padding" in how) == (padding == "zeros")
    if padding == "zeros":  # as the text says
        for place, part in enumerate(vgg):
            vgg[place] = nn.ZeroPad2d(1) if isinstance(part, nn.ReflectionPad2d) else part
    x = torch.rand(1, 3, 44 if pooling == "avg" else 48, 64, generator=torch.Generator().manual_seed(0))
    features = network.module.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    with torch.inference_mode():
        same(vgg(x), features[:-1](network.input.apply(x)))  # theirs ends at relu5_4


class VGG(nn.Module):
    """The authors' network, as far as its poolings and paddings are concerned."""

    def __init__(self, pool: str = "max") -> None:
        super().__init__()
        channels = 3
        for block, (width, count) in enumerate(
            zip((64, 128, 256, 512, 512), (2, 2, 4, 4, 4), strict=True), start=1
        ):
            for place in range(1, count + 1):
                setattr(self, f"conv{block}_{place}", nn.Conv2d(channels, width, 3, padding=1))
                channels = width
        self.pool = nn.AvgPool2d(2, 2) if pool == "avg" else nn.MaxPool2d(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        block = "1"
        for name, part in self.named_children():
            if name.startswith("conv"):
                x = self.pool(x) if name[4] != block else x
                block = name[4]
                x = part(x).relu()
        found: torch.Tensor = self.pool(x)
        return found


@pytest.mark.parametrize(("pooling", "padding"), [("avg", "zeros"), ("max", "reflect"), ("max", "zeros")])
def test_the_authors_network_computes_what_was_measured(
    pooling: Pooling, padding: Padding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = vgg19(pooling, padding)
    layouts()["leongatys"].write(tmp_path / "x.pth", network, state(16), 40)
    monkeypatch.chdir(tmp_path)
    how = layouts()["leongatys"].how("x.pth", network, 40)
    vgg = executed(code_of(how), torch=torch, VGG=VGG)["vgg"]
    assert isinstance(vgg, VGG)
    x = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        same(vgg(network.input.apply(x)), network.module(network.input.apply(x)))


KERAS = """
import sys
import keras, numpy as np
exec(open("code.py").read())
x = np.load("x.npy")
shown = keras.applications.vgg16.preprocess_input(255 * x.transpose(0, 2, 3, 1))
np.save("found.npy", network.predict(shown, verbose=0))
"""


def with_narrow_head(features: State) -> State:
    """Keras's head can't be narrow, ours isn't either: zeros but for a few numbers cost no time."""
    head = {
        key: torch.zeros(value.shape)
        for key, value in skeleton("vgg16", 10).state_dict().items()
        if key.startswith("classifier.")
    }
    generator = torch.Generator().manual_seed(1)
    for key, value in head.items():
        if key.endswith("weight"):
            value[:, :64] = torch.randn(value[:, :64].shape, generator=generator) / 8
    return {**features, **head}


@pytest.mark.parametrize(("pooling", "head"), [("avg", False), ("max", True)])
def test_kerass_network_computes_what_was_measured(pooling: Pooling, head: bool, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    features = good("vgg16", 30)
    tensors = with_narrow_head(features) if head else features
    network = build("vgg16", tensors, pooling=pooling, input=CAFFE)
    layout = layouts()["keras"]
    with writing(tmp_path / "w.weights.h5") as temporary:
        layout.write(temporary, network, tensors, 224)
    (tmp_path / "code.py").write_text(code_of(layout.how("w.weights.h5", network, 224)))
    x = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "x.npy", x.numpy())
    subprocess.run(
        [sys.executable, "-c", KERAS],
        cwd=tmp_path,
        env=os.environ | {"KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    found = torch.from_numpy(np.load(tmp_path / "found.npy"))
    with torch.inference_mode():
        expected = network.module(network.input.apply(x))
    found = found if head else found.permute(0, 3, 1, 2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("keras", "zero padding.*found vgg19 with 16, reflection padding"),
        ("neural_style_pt", "zero padding.*reflection padding"),
    ],
)
def test_a_program_that_can_not_pad_so_gets_no_file(layout: str, words: str) -> None:
    with pytest.raises(WeightsError, match=rf"rescale.exports={layout} doesn't fit: .*{words}"):
        chosen([layout], vgg19(padding="reflect"))


def test_neural_style_pt_takes_imagenets_classes_only_and_is_told_the_pooling() -> None:
    layout = layouts()["neural_style_pt"]
    network = build("vgg16", with_narrow_head(good("vgg16", 30)), pooling="avg", input=CAFFE)
    assert "a head of 10 classes" in str(layout.misfit(network))
    assert "-pooling avg" in layout.how("vgg16.pth", network, 224)
    assert "-pooling max" in layout.how("vgg16.pth", replace(network, module=vgg19().module), 224)
