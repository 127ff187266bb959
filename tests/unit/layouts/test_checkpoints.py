"""What people's training code saves is read, and what was taken off or left out is said."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from unitmean.errors import WeightsError
from unitmean.layouts.files import read_tensors
from unitmean.layouts.reading import canonical
from unitmean.networks.architectures import build
from unitmean.networks.inputs import TORCHVISION

State = dict[str, Tensor]
NAME = "shufflenet_v2_x0_5"
STATE: State = dict(models.shufflenet_v2_x0_5(weights=None).state_dict())


HALVES: State = {name: tensor / 2 for name, tensor in STATE.items()}


def under(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


WRAPPED = {
    "itself": (STATE, ""),
    "data parallel": (under("module.", STATE), "wrappers"),
    "compiled in parallel": (under("module._orig_mod.", STATE), "wrappers"),
    "moving average": ({"n_averaged": torch.tensor(5)} | under("module.", STATE), "wrappers"),
    "lightning": (under("model.", STATE), "the prefix 'model.' was taken off"),
    "part of another": (
        under("backbone.body.", STATE) | {"head.weight": torch.zeros(3), "head.bias": torch.zeros(3)},
        "2 tensors outside it were left out: head.weight, head.bias",
    ),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrappers_and_prefixes_are_taken_off(name: str) -> None:
    state, words = WRAPPED[name]
    found = canonical(state, NAME)
    assert found.layout == "torchvision" and found.state_dict.keys() == STATE.keys()
    assert all(torch.equal(found.state_dict[key], value) for key, value in STATE.items())
    assert words in "; ".join(found.notes) and bool(words) == bool(found.notes)


def test_a_layers_own_name_is_no_prefix() -> None:
    state = {"conv1_1.weight": torch.zeros(64, 3, 3, 3), "conv1_1.bias": torch.zeros(64)}
    assert canonical(state, "vgg19").layout == "leongatys"
    assert canonical(under("model.", state), "vgg19").layout == "leongatys"


def test_features_in_data_parallel() -> None:
    state = {k.replace("features.", "features.module."): v for k, v in models.vgg11().state_dict().items()}
    assert canonical(state, "vgg11").state_dict.keys() == models.vgg11().state_dict().keys()


CHECKPOINTS: dict[str, tuple[Any, str]] = {
    "lightning": ({"state_dict": STATE, "epoch": 3, "optimizer": {"lr": 0.1}}, "['state_dict']"),
    "the larger one": ({"model": STATE, "small": {"x": torch.zeros(2)}, "args": [1]}, "['model']"),
    "the model, not its average": ({"model_ema": STATE, "model": STATE}, "['model']"),
    "the model, not its gradients": ({"grads": STATE, "net": STATE}, "['net']"),
    "the one that fits": (
        {"generator": STATE, "discriminator": dict(models.squeezenet1_1(weights=None).state_dict())},
        "['generator']",
    ),
    "no buffer with one name more": (
        {"model": STATE, "momentum": STATE | {"_": torch.zeros(9)}},
        "['model']",
    ),
    "the model, not the average within another dict": (
        {"ema": {"state_dict": HALVES}, "model": STATE | {"loss.weight": torch.zeros(2)}},
        "['model']",
    ),
    "no moments of an optimizer": (
        {"optimizer": {"exp_avg": HALVES}, "exp_avg_sq": HALVES, "net": STATE | {"loss.w": torch.zeros(2)}},
        "['net']",
    ),
    "a figure of NumPy's beside it": (
        {"model": STATE, "best": np.float64(0.5), "n": np.int64(3)},
        "['model']",
    ),
    "the same twice": ({"last": STATE, "best": STATE}, "['last']"),
    "deep": ({"ema": {"model": {"state_dict": STATE}}}, "['ema']['model']['state_dict']"),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_dicts_in_dicts(tmp_path: Path, name: str) -> None:
    value, where = CHECKPOINTS[name]
    torch.save(value, tmp_path / "file.pth")
    found, notes = read_tensors(tmp_path / "file.pth", STATE.keys())
    assert found.keys() >= STATE.keys() and f"the checkpoint's {where} was taken" in notes


@pytest.mark.parametrize(
    "value",
    [{"student": STATE, "teacher": HALVES}, under("student.", STATE) | under("teacher.", HALVES)],
    ids=["dicts", "prefixes"],
)
def test_two_networks_in_one_file_are_refused(tmp_path: Path, value: Any) -> None:
    torch.save(value, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match="student.* and .*teacher.*: save the one that you mean by itself"):
        read_tensors(tmp_path / "file.pth", STATE.keys())


def test_of_an_unknown_network_the_largest_dict_is_taken(tmp_path: Path) -> None:
    torch.save({"ema": STATE, "small": {"x.weight": torch.zeros(2)}}, tmp_path / "file.pth")
    assert read_tensors(tmp_path / "file.pth")[0].keys() == STATE.keys()


def test_a_part_under_two_prefixes_is_no_second_network() -> None:
    part = {name: tensor for name, tensor in STATE.items() if name.startswith("conv1")}
    more = under("other.", {**part, "head.weight": torch.zeros(2)})
    assert canonical(under("net.", STATE) | more, NAME).state_dict.keys() == STATE.keys()


def test_the_average_beside_a_network_is_left_out() -> None:
    found = canonical(under("ema_net.", HALVES) | under("net.", STATE), NAME)
    assert all(torch.equal(found.state_dict[key], value) for key, value in STATE.items())
    assert "left out: ema_net." in "; ".join(found.notes)


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    torch.save({"model_ema": STATE, "model": STATE, "epoch": 3}, tmp_path / "file.pth")
    _, notes = read_tensors(tmp_path / "file.pth", STATE.keys())
    assert "1 other dict of tensors left out: ['model_ema']" in notes


def test_tensors_beside_a_dict_of_tensors_are_one_too(tmp_path: Path) -> None:
    average = {name: 2 * tensor for name, tensor in STATE.items()}
    torch.save({**STATE, "ema": average, "epoch": 3}, tmp_path / "file.pth")
    found, notes = read_tensors(tmp_path / "file.pth", STATE.keys())
    assert all(torch.equal(found[name], STATE[name].float()) for name in STATE)
    assert "1 other dict of tensors left out: ['ema']" in notes
    torch.save({"model": STATE, "loss": torch.tensor(0.5)}, tmp_path / "file.pth")
    assert read_tensors(tmp_path / "file.pth", STATE.keys())[1] == ["the checkpoint's ['model'] was taken"]


def test_what_a_file_is_decides_not_its_suffix(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "file.safetensors")
    assert read_tensors(tmp_path / "file.safetensors")[0].keys() == STATE.keys()


def test_tensors_without_numbers_and_plain_pickles_are_told(tmp_path: Path) -> None:
    torch.save({name: tensor.to("meta") for name, tensor in STATE.items()}, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match="was saved on the meta device"):
        read_tensors(tmp_path / "file.pth")
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(STATE))
    with pytest.raises(WeightsError, match="it is a plain pickle"):
        read_tensors(tmp_path / "file.pkl")


def test_a_negative_variance_is_told() -> None:
    state = STATE | {"conv1.1.running_var": -STATE["conv1.1.running_var"]}
    with pytest.raises(WeightsError, match="variances must not be negative; conv1.1.running_var holds 24"):
        build(NAME, state, input=TORCHVISION)


@pytest.mark.parametrize(
    ("name", "head"), [("resnet18", "fc"), ("squeezenet1_1", "classifier.1"), ("densenet121", "classifier")]
)
def test_another_number_of_classes_and_no_head(name: str, head: str) -> None:
    state = dict(models.get_model(name, num_classes=7).state_dict())
    network = build(name, state, input=TORCHVISION)
    x = torch.rand(2, 3, 64, 64)
    assert network.module(x).shape == (2, 7) and not network.truncated
    without = {key: value for key, value in state.items() if not key.startswith(f"{head}.")}
    network = build(name, without, input=TORCHVISION)
    assert network.truncated and len(network.module(x)) == 2
    with pytest.raises(WeightsError, match="missing 1"):
        build(name, {key: value for key, value in state.items() if key != f"{head}.bias"}, input=TORCHVISION)


def test_the_features_alone_and_timms_names() -> None:
    whole = dict(models.vgg11().state_dict())
    features = {k.removeprefix("features."): v for k, v in whole.items() if k.startswith("features.")}
    found = canonical(features, "vgg11")
    assert found.layout == "torchvision" and build("vgg11", found.state_dict, input=TORCHVISION).truncated
    timm = {}
    names = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc"}
    for key, value in whole.items():
        layer, _, kind = key.rpartition(".")
        shape = {"classifier.0": (4096, 512, 7, 7), "classifier.3": (4096, 4096, 1, 1)}.get(layer)
        timm[f"{names.get(layer, layer)}.{kind}"] = value.view(shape) if shape and kind == "weight" else value
    found = canonical(timm, "vgg11")
    assert all(torch.equal(found.state_dict[key], value) for key, value in whole.items())


def script(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(nn.Conv2d(3, 4, 3), torch.rand(1, 3, 8, 8)).save(path)


def test_a_damaged_archive_is_called_damaged(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "file.pth")
    data = bytearray((tmp_path / "file.pth").read_bytes())
    entry = data.index(b"PK\x01\x02")  # the archive's directory
    data[entry : entry + 4] = b"PK\0\0"
    (tmp_path / "file.pth").write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        read_tensors(tmp_path / "file.pth")


FOREIGN = {
    "file.pt": (script, "a TorchScript program.*model.state_dict"),
    "file.npz": (lambda path: np.savez(path, a=np.zeros(3)), "NumPy arrays"),
    "file.npy": (lambda path: np.save(path, np.zeros(3)), "a NumPy array"),
    "numpy.pth": (lambda path: torch.save({"a": np.zeros(3)}, path), "NumPy arrays"),
    "file.mat": (lambda path: path.write_bytes(b"MATLAB 5.0 MAT-file"), "MatConvNet"),
    "file.caffemodel": (lambda path: path.write_bytes(b"\n\x07VGG_ILSVRC"), "a Caffe model"),
    "file.t7": (lambda path: path.write_bytes(b"\x04\0\0\0\x01\0\0\0"), "a Torch7 file"),
    "file.onnx": (lambda path: path.write_bytes(b"\x08\x07\x12\x04"), "an ONNX model"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_programs_files_are_named(tmp_path: Path, name: str) -> None:
    write, words = FOREIGN[name]
    write(tmp_path / name)
    with pytest.raises(WeightsError, match=words) as error:
        read_tensors(tmp_path / name)
    assert "damaged" not in str(error.value) and "weights_only" not in str(error.value)
