"""Keras's files: read as it wrote them, written as it reads them, and its own networks compute the same."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from unitmean.disk.atomic import writing
from unitmean.errors import WeightsError
from unitmean.layouts import hdf5
from unitmean.layouts.files import read_tensors
from unitmean.layouts.kinds import layouts
from unitmean.layouts.reading import canonical
from unitmean.networks.architectures import Network, build
from unitmean.networks.inputs import CAFFE
from unitmean.networks.seeded import seeded

# Keras reads FILE, shows its network numbers of its own, and saves it again in its three formats.
KERAS = """
import sys
import keras, numpy as np, safetensors.numpy
file, pixels, out = sys.argv[1:]
network = keras.applications.VGG16(include_top=False, weights=file)
x = np.load(pixels)
shown = keras.applications.vgg16.preprocess_input(255 * x.transpose(0, 2, 3, 1))
names = ["block1_conv1", "block3_conv2", "block5_conv3"]
whole = keras.Model(network.input, [network.get_layer(name).output for name in names])
found = whole.predict(shown, verbose=0)
found = {n: np.ascontiguousarray(v.transpose(0, 3, 1, 2)) for n, v in zip(names, found)}
safetensors.numpy.save_file(found, out + "/found.safetensors")
network.save_weights(out + "/again.weights.h5")
network.save(out + "/whole.h5")
"""


@pytest.fixture(scope="module")
def features() -> dict[str, torch.Tensor]:
    return {k: v for k, v in seeded("vgg16", 0, 3.0).items() if k.startswith("features.")}


@pytest.fixture(scope="module")
def network(features: dict[str, torch.Tensor]) -> Network:
    return build("vgg16", features, input=CAFFE)


def write(path: Path, network: Network, state: dict[str, torch.Tensor]) -> Path:
    with writing(path) as temporary:  # as exports are written: under a lock
        layouts()["keras"].write(temporary, network, state, 224)
    return path


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[k], v) for k, v in expected.items())


def test_keras_has_our_activations_and_we_read_what_it_saves(
    features: dict[str, torch.Tensor], network: Network, tmp_path: Path
) -> None:
    file = write(tmp_path / "ours.weights.h5", network, features)
    x = torch.rand(2, 3, 32, 48)
    np.save(tmp_path / "x.npy", x.numpy())
    subprocess.run(
        [sys.executable, "-c", KERAS, str(file), str(tmp_path / "x.npy"), str(tmp_path)],
        env=os.environ | {"KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    found = load_file(tmp_path / "found.safetensors")
    activations = {}
    for path, module in network.module.named_modules():
        if network.layers.get(path) in ("relu1_1", "relu3_2", "relu5_3"):
            module.register_forward_hook(lambda m, i, o, p=network.layers[path]: activations.update({p: o}))
    with torch.inference_mode():
        network.module(network.input.apply(x))
    for theirs, ours in (
        ("block1_conv1", "relu1_1"),
        ("block3_conv2", "relu3_2"),
        ("block5_conv3", "relu5_3"),
    ):
        largest = float(activations[ours].abs().max())
        torch.testing.assert_close(found[theirs], activations[ours], rtol=0, atol=1e-4 * largest)
    for name in ("ours.weights.h5", "again.weights.h5", "whole.h5"):
        tensors, _ = read_tensors(tmp_path / name)
        read = canonical(tensors, "vgg16")
        assert (read.layout, read.input) == ("keras", CAFFE), name
        assert same(read.state_dict, features), name


def small_head() -> dict[str, torch.Tensor]:
    """VGG-16's head for two classes, its hidden layers narrow: the transposition is what matters."""
    torch.manual_seed(0)
    shapes = {"classifier.0": (6, 512 * 49), "classifier.3": (6, 6), "classifier.6": (2, 6)}
    state = {f"{name}.weight": torch.randn(shape) for name, shape in shapes.items()}
    return state | {f"{name}.bias": torch.randn(shape[0]) for name, shape in shapes.items()}


def test_a_head_is_turned_round_and_back(
    features: dict[str, torch.Tensor], network: Network, tmp_path: Path
) -> None:
    head = small_head()
    path = write(tmp_path / "w.weights.h5", network, features | head)
    read = canonical(read_tensors(path)[0], "vgg16")
    assert same(read.state_dict, features | head)
    with h5py.File(path) as file:
        matrix = file["layers/dense/vars/0"][:]
    x = torch.randn(512, 7, 7)
    flat = x.permute(1, 2, 0).reshape(-1).numpy()  # as Keras flattens
    expected = head["classifier.0.weight"] @ x.flatten()
    np.testing.assert_allclose(flat @ matrix, expected.numpy(), rtol=1e-3, atol=1e-3)


def renamed(source: Path, target: Path, names: str) -> Path:
    """The same file under the names of older ones."""
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        for group in old["layers"].values():
            name = group["vars"].attrs["name"]
            for kind, number in (("kernel", "0"), ("bias", "1")):
                key = {"W": f"{name}_{kind[0].upper().replace('K', 'W').replace('B', 'b')}_1:0"}.get(names)
                new[f"{name}/{key or f'{name}/{kind}:0'}"] = group["vars"][number][:]
    return target


@pytest.mark.parametrize("names", ["W", "kernel"])
def test_older_files(names: str, features: dict[str, torch.Tensor], network: Network, tmp_path: Path) -> None:
    """Keras 1 wrote block1_conv1/block1_conv1_W_1:0, Keras 2 block1_conv1/block1_conv1/kernel:0."""
    new = write(tmp_path / "new.weights.h5", network, features)
    read = canonical(read_tensors(renamed(new, tmp_path / "old.h5", names))[0], "vgg16")
    assert same(read.state_dict, features)


def test_layers_that_are_only_numbered(
    features: dict[str, torch.Tensor], network: Network, tmp_path: Path
) -> None:
    head = small_head()  # whose first matrix must be turned round whatever its layer is called
    path = write(tmp_path / "w.weights.h5", network, features | head)
    with h5py.File(path, "a") as file:
        for group in file["layers"].values():
            del group["vars"].attrs["name"]
    assert same(canonical(read_tensors(path)[0], "vgg16").state_dict, features | head)


def test_two_layers_of_one_name(features: dict[str, torch.Tensor], network: Network, tmp_path: Path) -> None:
    path = write(tmp_path / "w.weights.h5", network, features)
    with h5py.File(path, "a") as file:
        file["layers/conv2d_1/vars"].attrs["name"] = "block1_conv1"
    with pytest.raises(WeightsError, match="name each layer once"):
        read_tensors(path)


def test_an_optimiser_is_left_out_and_said(
    features: dict[str, torch.Tensor], network: Network, tmp_path: Path
) -> None:
    path = write(tmp_path / "w.weights.h5", network, features)
    with h5py.File(path, "a") as file:
        file["optimizer/vars/0"] = np.zeros(3, np.float32)
        file["optimizer/vars"].attrs["name"] = "adam"
    read = canonical(read_tensors(path)[0], "vgg16")
    assert same(read.state_dict, features) and read.notes == ("1 tensors of an optimiser were left out",)


def test_equal_weights_give_equal_bytes(
    features: dict[str, torch.Tensor], network: Network, tmp_path: Path
) -> None:
    one, two = (write(tmp_path / name, network, features).read_bytes() for name in ("one.h5", "two.h5"))
    assert one == two


def test_another_network_and_other_layers_are_named(
    features: dict[str, torch.Tensor], network: Network, tmp_path: Path
) -> None:
    path = write(tmp_path / "w.weights.h5", network, features)
    tensors, _ = read_tensors(path)
    with pytest.raises(WeightsError, match="weights of resnet18 must come in a layout.*Keras's VGG"):
        canonical(tensors, "resnet18")
    with pytest.raises(WeightsError, match=r"Keras's layout must fit vgg16.*found \['extra'\]"):
        canonical(tensors | {"extra/0": torch.zeros(1)}, "vgg16")
    with pytest.raises(WeightsError, match=r"Keras's layout must fit vgg16.*found \['alone'\]"):
        canonical(tensors | {"alone": torch.zeros(1)}, "vgg16")
    with pytest.raises(WeightsError, match="'block1_conv1' must hold a kernel and a bias"):
        canonical(tensors | {"block1_conv1/2": torch.zeros(1)}, "vgg16")
    del tensors["block1_conv1/1"]
    with pytest.raises(WeightsError, match="'block1_conv1' must hold a kernel and a bias"):
        canonical(tensors, "vgg16")


def linked(file: h5py.File) -> None:
    file["block1_conv1/kernel"] = h5py.ExternalLink("other.h5", "/x")


def elsewhere(file: h5py.File) -> None:
    file.create_dataset("block1_conv1/kernel", (3,), np.float32, external=[("other.bin", 0, 12)])


def promised(file: h5py.File) -> None:
    file.create_dataset("block1_conv1/kernel", (10**5, 10**5), np.float32, chunks=(100, 100))


@pytest.mark.parametrize(
    ("make", "words"),
    [(linked, "a link to elsewhere"), (elsewhere, "in another file"), (promised, "damaged or hostile")],
)
def test_arrays_that_lie_elsewhere_or_nowhere(
    make: Callable[[h5py.File], None], words: str, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        make(file)
    with pytest.raises(WeightsError, match=words):
        read_tensors(tmp_path / "w.h5")


def test_a_damaged_file(features: dict[str, torch.Tensor], network: Network, tmp_path: Path) -> None:
    path = write(tmp_path / "w.weights.h5", network, features)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="a whole HDF5 file.*truncated or damaged"):
        read_tensors(path)


def test_without_h5py(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(hdf5.MAGIC)
    monkeypatch.setattr(hdf5, "find_spec", lambda package: None)
    with pytest.raises(WeightsError, match=r"needs h5py.*unitmean\[keras\]"):
        read_tensors(tmp_path / "w.h5")
