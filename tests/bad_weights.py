"""Weights files, broken, hostile and odd."""

import json
import os
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bad_case import Case
from safetensors.torch import save_file

from unitmean.layouts.files import load_weights

COMMAND = "fetch_weights model=vgg11 weights=file weights.path=w.pth weights.input=torchvision"
Change = Callable[[dict[str, Any]], Any]


class Evil:
    def __reduce__(self) -> Any:
        return (os.system, ("echo run > ran",))


def first() -> dict[str, Any]:
    """The first convolution of vgg11, which by itself is a network."""
    torch.manual_seed(0)
    return {"features.0.weight": torch.randn(64, 3, 3, 3), "features.0.bias": torch.randn(64)}


def torch_file(change: Change = lambda state: state) -> Callable[[Path], None]:
    return lambda folder: torch.save(change(first()), folder / "w.pth")


def safe_file(change: Change = lambda state: state) -> Callable[[Path], None]:
    return lambda folder: save_file(change(first()), folder / "w.pth")


def raw(data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "w.pth").write_bytes(data)


def cut(write: Callable[[Path], None]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        write(folder)
        data = (folder / "w.pth").read_bytes()
        (folder / "w.pth").write_bytes(data[: len(data) // 2])

    return make


def claiming(folder: Path) -> None:
    """Of one of its records the archive's directory says that it is as large as 32 bits can say."""
    torch_file()(folder)
    data = bytearray((folder / "w.pth").read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 20 : entry + 28] = b"\xff\xff\xff\xfe" * 2
    (folder / "w.pth").write_bytes(data)


def with_value(value: float) -> Change:
    def change(state: dict[str, Any]) -> dict[str, Any]:
        state["features.0.bias"][3] = value
        return state

    return change


def to(dtype: torch.dtype) -> Change:
    return lambda state: {key: value.to(dtype) for key, value in state.items()}


def header(offsets: list[int], length: int | None = None, shape: tuple[int, ...] = (64,)) -> bytes:
    """safetensors by hand: one tensor with these offsets, 256 bytes of data."""
    text = json.dumps({"features.0.bias": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(256)


def converted(note: str) -> Callable[[Path], None]:
    def check(folder: Path) -> None:
        state, metadata = load_weights(folder / "data/vgg11/weights.safetensors")
        assert {tensor.dtype for tensor in state.values()} == {torch.float32}
        assert metadata["notes"] == [note]

    return check


def kept(folder: Path) -> None:
    state, _ = load_weights(folder / "data/vgg11/weights.safetensors")
    assert all(torch.equal(state[key], value) for key, value in first().items())


def loud(folder: Path) -> None:
    state, _ = load_weights(folder / "data/vgg11/weights.safetensors")
    assert state["features.0.bias"].eq(3e38).all()


def script(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1)).save(folder / "w.pth")


def refused(what: str, make: Callable[[Path], object], outcome: str, *more: str) -> Case:
    return Case(what, make, COMMAND, outcome, more)


def taken(what: str, make: Callable[[Path], object], outcome: str, check: Callable[[Path], None]) -> Case:
    return Case(what, make, COMMAND, outcome, check=check)


WEIGHTS = [
    refused("no file", lambda folder: None, "found nothing"),
    refused("zero bytes", raw(b""), "zero bytes"),
    refused("a web page", raw(b"<!DOCTYPE html><html>"), "it is a web page"),
    refused("a Git LFS pointer", raw(b"version https://git-lfs.github.com/spec/v1\n"),
            "must be a PyTorch, "),
    refused("a pickle that would run a program", torch_file(lambda state: {"a": Evil()}),
            "posix.system, code that would run"),
    refused("a whole module", torch_file(lambda state: torch.nn.Linear(1, 1)), "Linear, code that would run"),
    refused("PyTorch, cut in half", cut(torch_file()), "truncated or damaged"),
    refused("PyTorch that claims to hold 4 GB", claiming, "claims 4,...,...,... bytes in a file of"),
    refused("one number repeated 10 billion times",
            torch_file(lambda s: s | {"features.0.bias": torch.ones(1).expand(10**10)}),
            "found 1 that are repeated"),
    refused("safetensors, cut in half", cut(safe_file()), "truncated or damaged"),
    refused("safetensors that claims a header of 2**63 bytes", raw(header([0, 256], 1 << 63)),
            "truncated or damaged"),
    refused("safetensors that claims a header of 16 TB", raw(header([0, 256], 1 << 44)),
            "truncated or damaged"),
    refused("safetensors whose offsets lie behind its end", raw(header([1 << 40, (1 << 40) + 256])),
            "truncated or damaged"),
    refused("safetensors whose shape isn't its length's", raw(header([0, 256], shape=(1 << 40,))),
            "truncated or damaged"),
    refused("an empty state dict", torch_file(lambda state: {}), "an empty dict"),
    refused("a TorchScript program", script, "it is a TorchScript program"),
    refused("NumPy's arrays", raw(b"\x93NUMPY\x01\x00"), "it is a NumPy array"),
    refused("a MATLAB file", raw(b"MATLAB 5.0 MAT-file"), "it is a MATLAB file, as MatConvNet's"),
    refused("a Keras file, cut off", raw(b"\x89HDF\r\n\x1a\n"), "a whole HDF5 file"),
    refused("a list of tensors", torch_file(lambda state: list(state.values())), "found list"),
    refused("keys of no known layout", torch_file(lambda state: {"a": state["features.0.bias"]}),
            "found the keys"),
    refused("a key missing", torch_file(lambda s: {"features.0.weight": s["features.0.weight"]}),
            r"missing 1: \['features.0.bias'\]"),
    refused("a key too many", torch_file(lambda s: s | {"features.1.weight": s["features.0.bias"]}),
            r"unexpected 1: \['features.1.weight'\]"),
    refused("another model's", torch_file(), "must have the shape", "model=alexnet"),
    refused("a transposed convolution",
            torch_file(lambda s: s | {"features.0.weight": s["features.0.weight"].transpose(0, 1)}),
            r"must have the shape \(64, 3, 3, 3\); found \(3, 64, 3, 3\)"),
    refused("a NaN", torch_file(with_value(float("nan"))), "holds 1 NaN or infinite"),
    refused("an infinity", safe_file(with_value(float("inf"))), "holds 1 NaN or infinite"),
    refused("float64 that float32 can't hold", torch_file(lambda s: with_value(1e300)(to(torch.float64)(s))),
            "holds 1 NaN or infinite"),
    refused("whole numbers", torch_file(to(torch.int64)), "must be floating point"),
    refused("bytes, as of a quantised network", safe_file(to(torch.uint8)), "must be floating point"),
    refused("complex numbers", torch_file(to(torch.complex64)), "dense real"),
    refused("another sha256 than asked for", torch_file(), "must have the sha256", "weights.sha256=00000000"),
    taken("a state dict in a dict", torch_file(lambda state: {"state_dict": state, "epoch": 3}),
          "the dict with most of the network's names and fewest others is taken, and a note of it",
          converted("the checkpoint's ['state_dict'] was taken")),
    taken("a state dict of DataParallel", torch_file(lambda s: {"module." + k: v for k, v in s.items()}),
          "the wrapper's name is taken off, and a note of it",
          converted("wrappers' names (module, _orig_mod) and counters were taken off")),
    taken("the features alone", torch_file(lambda s: {k.removeprefix("features."): v for k, v in s.items()}),
          "read as torchvision's", kept),
    taken("safetensors named .pth", safe_file(), "read as what it is", kept),
    taken("float16", torch_file(to(torch.float16)), "converted to float32, and a note of it",
          converted("2 float16 tensors were converted to float32")),
    taken("bfloat16", safe_file(to(torch.bfloat16)), "converted to float32, and a note of it",
          converted("2 bfloat16 tensors were converted to float32")),
    taken("float64", torch_file(to(torch.float64)), "converted to float32, and a note of it",
          converted("2 float64 tensors were converted to float32")),
    taken("finite numbers whose sum is infinite",
          torch_file(lambda s: s | {"features.0.bias": torch.full((64,), 3e38)}), "read", loud),
]  # fmt: skip
