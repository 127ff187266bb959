"""A weights file as a module ready to use: by unitmean.load, by torch.hub, in the examples."""

import importlib.util
import json
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from types import ModuleType

import pytest
import torch
from heads import good
from safetensors.torch import save_file
from torch import nn

import unitmean
from unitmean.disk.digest import sha256
from unitmean.errors import DataError, NetworkError, WeightsError
from unitmean.layouts.files import load_weights, save_weights
from unitmean.layouts.kinds import layouts
from unitmean.layouts.networks import Stored
from unitmean.networks.architectures import build
from unitmean.networks.inputs import CAFFE, UNIT
from unitmean.networks.loaded import Loaded
from unitmean.networks.own import code_of
from unitmean.networks.seeded import well_behaved
from unitmean.networks.skeleton import skeleton
from unitmean.pipeline.exports.write import write_exports
from unitmean.style.pictures import write_picture

ROOT = Path(__file__).resolve().parents[2]
METADATA = {"model": "vgg11", "input": CAFFE.to_dict(), "truncated": True}


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """VGG-11 up to relu3_1."""
    return good("vgg11", 6)


@pytest.fixture
def path(weights: dict[str, torch.Tensor], tmp_path: Path) -> Path:
    save_weights(tmp_path / "normalised.safetensors", weights, METADATA)
    return tmp_path / "normalised.safetensors"


@pytest.fixture
def picture() -> torch.Tensor:
    return torch.rand(2, 3, 32, 40, generator=torch.Generator().manual_seed(0))


def by_hand(weights: dict[str, torch.Tensor], x: torch.Tensor) -> list[torch.Tensor]:
    x = x.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    found = []
    for i in (0, 3, 6):
        x = nn.functional.max_pool2d(x, 2) if i else x
        x = nn.functional.conv2d(x, weights[f"features.{i}.weight"], weights[f"features.{i}.bias"], padding=1)
        found.append(x.relu())
        x = found[-1]
    return found


def test_it_is_ready(path: Path, weights: dict[str, torch.Tensor], picture: torch.Tensor) -> None:
    network = unitmean.load(str(path))
    assert network.names == ["relu1_1", "relu2_1", "relu3_1"] and not network.training
    expected = by_hand(weights, picture)
    torch.testing.assert_close(network(picture), expected[2])
    found = network.activations(picture, ["relu2_1", "relu1_1", "output"])
    assert list(found) == ["relu2_1", "relu1_1", "output"]
    torch.testing.assert_close(found["relu1_1"], expected[0])
    torch.testing.assert_close(found["output"], expected[2])


def test_another_type_is_refused(path: Path, picture: torch.Tensor) -> None:
    network = unitmean.load(path)
    for use in (network, lambda image: network.activations(image, ["relu1_1"])):
        with pytest.raises(DataError, match="of the network's type, torch.float32; found torch.float64"):
            use(picture.double())


def test_pictures_in_half_precision_under_autocast(path: Path, picture: torch.Tensor) -> None:
    network = unitmean.load(path)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(picture.bfloat16()).isfinite().all()


def test_a_rectifier_that_is_used_twice_has_two_names(tmp_path: Path, picture: torch.Tensor) -> None:
    module = skeleton("resnet18")
    save_weights(tmp_path / "r.safetensors", well_behaved(module, 0), METADATA | {"model": "resnet18"})
    network = unitmean.load(tmp_path / "r.safetensors")
    assert network.names[:4] == ["relu", "layer1.0.relu", "layer1.0.relu#2", "layer1.1.relu"]
    found = network.activations(picture, ["layer1.0.relu#2", "layer1.0.relu"])
    assert list(found) == ["layer1.0.relu#2", "layer1.0.relu"]
    block: list[torch.Tensor] = []
    network.network.get_submodule("layer1.0").register_forward_hook(lambda *given: block.append(given[2]))
    network(picture)
    assert torch.equal(block[0], found["layer1.0.relu#2"])
    assert not torch.equal(block[0], found["layer1.0.relu"])


OWN = """
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.relu = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.ReLU()
        self.leaky, self.last = nn.LeakyReLU(), nn.Linear(4 * 26 * 26, 3)

    def forward(self, x):
        x = self.relu(self.first(x))
        x += 1  # into what the module returned
        x = self.leaky(self.second(F.relu(x)))
        return self.last(x.flatten(1))
"""


@pytest.fixture
def own_network(tmp_path: Path) -> Loaded:
    """Of a file with the code OWN, measured on pictures of 30 pixels, the only ones that it takes."""
    code = tmp_path / "nets.py"
    code.write_text(OWN)
    name = f"{code}:Net"
    torch.manual_seed(0)
    module = skeleton(name)
    state = {key: torch.randn(tensor.shape) for key, tensor in module.state_dict().items()}
    of = {"model": "Net", "code": code_of(name), "truncated": False, "input": UNIT.to_dict()}
    measured = {"statistics": {"preprocess": {"resize": "warp", "pixels": 30, "crop": None}}}
    save_weights(tmp_path / "own.safetensors", state, of | measured)
    return unitmean.load(tmp_path / "own.safetensors", model=name)


def test_functions_and_other_rectifiers_of_own_code_have_names(own_network: Loaded) -> None:
    network, x = own_network, torch.rand(2, 3, 30, 30)
    assert network.names == ["relu", "relu_1", "leaky"]
    found = network.activations(x, ["leaky", "relu", "output"])
    state = network.network.state_dict()
    first = nn.functional.conv2d(x, state["first.weight"], state["first.bias"]).relu()
    torch.testing.assert_close(found["relu"], first)
    second = nn.functional.conv2d(first + 1, state["second.weight"], state["second.bias"])
    torch.testing.assert_close(found["leaky"], nn.functional.leaky_relu(second))
    torch.testing.assert_close(found["output"], network(x))
    again = deepcopy(network).activations(x[:1], ["relu"])["relu"]
    torch.testing.assert_close(again, first[:1])


@pytest.mark.usefixtures("gpu")
def test_layers_on_a_gpu(own_network: Loaded) -> None:
    """By the graph, which is needed where functions rectify, and by hooks."""
    x = torch.rand(2, 3, 30, 30)
    for layers in (["relu", "leaky", "output"], ["output"]):
        expected = own_network.cpu().activations(x, layers)
        for layer, found in own_network.cuda().activations(x.cuda(), layers).items():
            assert found.is_cuda
            largest = float(expected[layer].abs().max())
            torch.testing.assert_close(found.cpu(), expected[layer], rtol=0, atol=1e-2 * largest)  # TF32


def test_activations_are_those_of_the_network_as_it_is_now(own_network: Loaded) -> None:
    network, x = own_network, torch.rand(2, 3, 30, 30)
    names = ["leaky", "output"]

    def right() -> torch.Tensor:
        found: torch.Tensor = network.network(x)
        torch.testing.assert_close(network.activations(x, names)["output"], found)
        return found

    before = right()
    state = {name: tensor / 2 for name, tensor in network.network.state_dict().items()}
    network.network.load_state_dict(state, assign=True)
    assert not torch.equal(before, after := right())
    network.network.get_submodule("first").register_forward_hook(lambda *given: given[2] * 2)
    assert not torch.equal(after, right())
    network.network.last = nn.Linear(4 * 26 * 26, 5)
    assert right().shape == (2, 5)


def test_what_a_graph_cannot_hold_for_is_refused(own_network: Loaded) -> None:
    assert own_network.train().names == ["relu", "relu_1", "leaky"]
    own_network.eval()
    with pytest.raises(DataError, match="a batch must hold a picture"):
        own_network.activations(torch.rand(0, 3, 30, 30), ["leaky"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlenet", "densenet121", "resnet18", "squeezenet1_1"])
def test_hooks_and_the_graph_agree(name: str, tmp_path: Path) -> None:
    save_weights(
        tmp_path / "w.safetensors",
        well_behaved(skeleton(name), 0),
        METADATA | {"model": name, "truncated": False},
    )
    network = unitmean.load(tmp_path / "w.safetensors")
    assert list(network._uses) == [layer for layer in network.names if layer in network._uses]
    assert (len(network._uses) == len(network.names)) == (name not in ("googlenet", "densenet121"))
    x = torch.rand(2, 3, 64, 64)
    graph = network.graph(x, network.names)(network.input.apply(x))
    found = network.activations(x, network.names)
    for layer, path in network._paths.items():
        torch.testing.assert_close(found[layer], graph[path])
    seen = [layer for layer in network.names if network.by_hooks([layer])]
    for layer, activation in (network.activations(x, seen) if seen else {}).items():
        torch.testing.assert_close(activation, graph[network._paths[layer]])


def test_it_stops_behind_the_last_layer_asked_for(path: Path, picture: torch.Tensor) -> None:
    network = unitmean.load(path)
    seen = []
    network.network.get_submodule("features.3").register_forward_hook(lambda *_: seen.append(3))
    assert list(network.activations(picture, ["relu1_1"])) == ["relu1_1"]
    assert seen == []
    network(picture)
    assert seen == [3]  # nothing of the last call was left behind


def test_gradients_reach_the_picture_only(path: Path, picture: torch.Tensor) -> None:
    network = unitmean.load(path)
    picture.requires_grad_()
    network.activations(picture, ["relu2_1"])["relu2_1"].sum().backward()
    assert picture.grad is not None and picture.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in network.parameters())


def test_measured_pooling_and_padding_unless_given(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    measured = {"statistics": {"model": {"name": "vgg11", "pooling": "avg", "padding": "reflect"}}}
    save_weights(tmp_path / "w.safetensors", weights, METADATA | measured)
    features = unitmean.load(tmp_path / "w.safetensors").network.features
    assert isinstance(features, nn.Sequential) and isinstance(features[2], nn.AvgPool2d)
    assert isinstance(features[0], nn.Conv2d) and features[0].padding_mode == "reflect"
    features = unitmean.load(tmp_path / "w.safetensors", pooling="max", padding="zeros").network.features
    assert isinstance(features, nn.Sequential) and isinstance(features[2], nn.MaxPool2d)
    assert isinstance(features[0], nn.Conv2d) and features[0].padding_mode == "zeros"


def test_a_proof_that_failed_is_told_of(path: Path) -> None:
    proof = path.parent / "proof.json"
    other = shutil.copy(path, path.parent / "weights.safetensors")
    proof.write_text(json.dumps({"passed": False, "sha256": "0" * 64}))
    unitmean.load(other)  # the proof is of normalised.safetensors; warnings are errors here
    proof.write_text(json.dumps({"passed": True, "sha256": sha256(path)}))
    unitmean.load(path)
    proof.write_text(json.dumps({"passed": False, "sha256": sha256(path)}))
    with pytest.warns(UserWarning, match="must be proved.*found a proof of it that failed"):
        unitmean.load(path)


def test_a_file_that_changed_since_its_proof_is_told_of(path: Path) -> None:
    other = path.rename(path.parent / "normalised.safetensors")
    (path.parent / "proof.json").write_text(json.dumps({"passed": True, "sha256": sha256(other)}))
    unitmean.load(other)
    state, metadata = load_weights(other)
    save_weights(other, {name: 2 * tensor for name, tensor in state.items()}, metadata)
    with pytest.warns(UserWarning, match="must be proved.*found other bytes than those that were proved"):
        unitmean.load(other)


def test_what_cannot_be_loaded(path: Path, picture: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="must exist"):
        unitmean.load(tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError, match="unitmean's metadata"):
        unitmean.load(tmp_path / "foreign.safetensors")
    with pytest.raises(NetworkError, match=r"relu1_1, relu2_1, relu3_1; found \['relu4_2'\]"):
        unitmean.load(path).activations(picture, ["relu4_2"])


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, unitmean; print('torch' in sys.modules, 'load' in dir(unitmean))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "True"]
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        unitmean.laod  # noqa: B018


def test_torch_hub_loads_from_a_checkout(path: Path, picture: torch.Tensor) -> None:
    network = torch.hub.load(str(ROOT), "normalised", path=path, source="local")
    torch.testing.assert_close(network(picture), unitmean.load(path)(picture), rtol=0, atol=0)


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_perceptual_loss_falls(path: Path) -> None:
    arguments = [str(path), "--layers", "relu1_1", "relu2_1", "--steps", "12", "--size", "32"]
    losses = example("perceptual_loss").main(arguments)
    assert len(losses) == 12 and losses[-1] < 0.9 * losses[0]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    generator = torch.Generator().manual_seed(1)
    for name in ("a", "b"):
        write_picture(
            tmp_path / f"{name}.png", torch.rand(1, 3, 32, 32, generator=generator) ** (1 + (name == "b"))
        )
    return [str(tmp_path / "a.png"), str(tmp_path / "b.png")]


def test_gram_features_differ_between_styles(path: Path, files: list[str]) -> None:
    main = example("gram_features").main
    apart = main([str(path), *files, "--layers", "relu1_1", "relu2_1", "--size", "32"])
    same = main([str(path), files[0], files[0], "--layers", "relu1_1", "--size", "32"])
    assert min(apart.values()) > 0 and same == {"relu1_1": 0.0}


def test_the_adain_file_in_an_adain_encoder(
    weights: dict[str, torch.Tensor], files: list[str], tmp_path: Path
) -> None:
    stored = Stored(build("vgg11", weights, input=CAFFE), weights, METADATA)
    write_exports(
        tmp_path / "x", [layouts()["adain"]], stored, "0" * 64, 32, {"channels": 9, "normalised": 9}
    )
    module = example("adain_encoder")
    file = str(tmp_path / "x" / "vgg11_normalised_adain.pth")
    features = module.main([file, *files, "--size", "32"])
    style = module.encoder(torch.load(file, weights_only=True))(module.read(files[1], 32))
    for found, expected in zip(torch.std_mean(features, (2, 3)), torch.std_mean(style, (2, 3)), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-2)
    assert "unitmean" not in vars(module)  # it needs nothing of the package
