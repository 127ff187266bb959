"""Weights files."""

import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from unitmean.disk.digest import sha256
from unitmean.errors import WeightsError
from unitmean.layouts.files import KEY, load_weights, read_record, read_tensors, save_weights


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("echo run > ran",))


@pytest.fixture
def weights() -> dict[str, Tensor]:
    return {"a.weight": torch.rand(2, 3, 3, 3), "a.count": torch.tensor(7)}


@pytest.mark.parametrize("old", [False, True])
def test_reads_pytorch(tmp_path: Path, weights: dict[str, Tensor], old: bool) -> None:
    torch.save(weights, tmp_path / "w.pth", _use_new_zipfile_serialization=not old)
    found, notes = read_tensors(tmp_path / "w.pth")
    assert notes == []
    assert all(torch.equal(found[key], weights[key]) for key in weights)


def test_reads_safetensors_under_any_name(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    save_file(weights, tmp_path / "w.pth")
    found, _ = read_tensors(tmp_path / "w.pth")
    assert torch.equal(found["a.weight"], weights["a.weight"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32_with_a_note(
    tmp_path: Path, weights: dict[str, Tensor], dtype: torch.dtype
) -> None:
    value = torch.rand(3).to(dtype)
    torch.save(weights | {"b": value}, tmp_path / "w.pth")
    found, notes = read_tensors(tmp_path / "w.pth")
    assert torch.equal(found["b"], value.to(torch.float32)) and found["b"].dtype == torch.float32
    assert found["a.count"].dtype == torch.int64
    assert notes == [f"1 {str(dtype).removeprefix('torch.')} tensors were converted to float32"]


def test_a_pickle_that_holds_code_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil()}, "w.pth")
    with pytest.raises(WeightsError, match=r"posix.system, code that would run"):
        read_tensors(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(1, 1), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="Linear, code that would run"):
        read_tensors(tmp_path / "w.pth")


@pytest.mark.parametrize(
    "content, text",
    [
        (b"", "zero bytes"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"<HTML><body>sign in</body>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "must be a"),
        (bytes(range(200, 256)) * 40, "must be a"),
        (b"\x80\x02}q\x00(X", "truncated or damaged"),
        (b"PK\x03\x04" + b"\0" * 600, "truncated or damaged"),
        (b"\xff\xff\0\0\0\0\0\0{}", "truncated or damaged"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=text):
        read_tensors(tmp_path / "w.pth")


@pytest.mark.parametrize("part", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
def test_a_truncated_file_is_refused(
    tmp_path: Path, weights: dict[str, Tensor], kind: str, part: float
) -> None:
    path = tmp_path / "w"
    if kind == "safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=kind == "zip")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(WeightsError, match="damaged|get it again"):
        read_tensors(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="found none"):
        read_tensors(tmp_path / "w.pth")


@pytest.mark.parametrize(
    "value, found",
    [
        ([torch.zeros(1)], "found list"),
        ({}, "an empty dict"),
        ({"epoch": 3}, "'epoch': int"),
        ({1: torch.zeros(1)}, "1: Tensor"),
    ],
)
def test_not_a_state_dict(tmp_path: Path, value: object, found: str) -> None:
    torch.save(value, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=found):
        read_tensors(tmp_path / "w.pth")


def test_sparse_and_complex_tensors_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2, dtype=torch.complex64)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="dense real.*complex64"):
        read_tensors(tmp_path / "w.pth")


def test_what_is_saved_is_loaded(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    metadata = {"source": {"kind": "seeded", "seed": 0}, "input": {"mean": [0.5, 1.0]}, "notes": []}
    weights["tied"] = weights["a.weight"]
    weights["view"] = weights["a.weight"].transpose(2, 3)
    save_weights(tmp_path / "w.safetensors", weights, metadata)
    found, read = load_weights(tmp_path / "w.safetensors")
    assert read == metadata
    assert {key: value.tolist() for key, value in found.items()} == {
        k: v.tolist() for k, v in weights.items()
    }


def test_bytes_are_deterministic(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    save_weights(tmp_path / "one.safetensors", weights, {"a": 1, "b": 2, "c": 3})
    save_weights(tmp_path / "two.safetensors", dict(reversed(weights.items())), {"c": 3, "b": 2, "a": 1})
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


def test_foreign_or_damaged_files_are_not_loaded(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    path = tmp_path / "w.safetensors"
    save_file(weights, path)
    with pytest.raises(WeightsError, match="metadata"):
        load_weights(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WeightsError, match="metadata"):
        load_weights(path)
    with pytest.raises(WeightsError, match="found none"):
        load_weights(tmp_path / "absent")


def test_metadata_of_many_brackets_are_nobodys(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    path = tmp_path / "w.safetensors"
    save_file(weights, path, {KEY: "[" * 100_000})
    assert read_record(path) is None
    with pytest.raises(WeightsError, match="metadata; found RecursionError"):
        load_weights(path)


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc" * 1000)
    assert sha256(tmp_path / "f") == hashlib.sha256(b"abc" * 1000).hexdigest()


@pytest.mark.parametrize("length", range(0, 64, 8))
def test_tensors_are_aligned_whatever_the_metadata(tmp_path: Path, length: int) -> None:
    """Else equal weights from two files would be summed in another order."""
    save_weights(tmp_path / "w.safetensors", {"a": torch.rand(64, 3)}, {"note": "x" * length})
    found, _ = load_weights(tmp_path / "w.safetensors")
    assert found["a"].data_ptr() % 64 == 0
