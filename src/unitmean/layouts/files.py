"""Weights files: safetensors, PyTorch and Keras files are read, safetensors are written."""

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.serialization import safe_globals

from unitmean.disk.atomic import writing
from unitmean.errors import WeightsError
from unitmean.layouts.checkpoints import fitting
from unitmean.layouts.foreign import foreign
from unitmean.layouts.hdf5 import MAGIC, read_hdf5

# All metadata is one JSON text under one key: safetensors writes several keys in random order.
KEY = "unitmean"
# Bytes of a safetensors header, by the format's own limit.
LONGEST = 100_000_000
# The magic number of PyTorch's files from before 1.6, which are pickles.
OF_TORCH = b"l\xfc\x9cF\xf9 j\xa8P\x19"
# How many times an archive's size its contents may claim: PyTorch doesn't compress, weights hardly shrink.
MOST = 16


def read_tensors(path: Path, expected: Collection[str] = ()) -> tuple[dict[str, Tensor], list[str]]:
    """A state dict from safetensors, PyTorch or Keras, and notes on what was taken and converted.

    expected: the names of the network in torchvision. From a checkpoint, a dict of dicts, the dict of tensors
    is taken that has most of these names; see `fitting`. Every floating tensor becomes float32, float64 too,
    since all later comparisons start from float32. No code is
    unpickled. Raises WeightsError for a file without a dict of tensors.
    """
    if not path.is_file():
        raise WeightsError(f"a weights file must exist; found none at {str(path)!r}; check weights.path")
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        raise WeightsError(f"{path} must hold weights; it has zero bytes; get it again")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise WeightsError(
            f"{path} must hold weights; it is a web page that starts with {start[:40]!r}; "
            "the link leads to a page about the file: get the file itself"
        )
    if start.startswith(MAGIC):
        return as_float32(read_hdf5(path))
    if known := foreign(path, start):
        what, remedy = known
        raise WeightsError(f"{path} must be a PyTorch, safetensors or Keras file; it is {what}; {remedy}")
    if start[8:9] == b"{":  # eight bytes of length, then JSON: github.com/huggingface/safetensors#format
        value = _read_safetensors(path)
    elif start.startswith((b"PK", b"\x80")):  # a zip archive, or a pickle as PyTorch wrote before 1.6
        if start.startswith(b"\x80") and OF_TORCH not in start[:20]:
            raise WeightsError(
                f"{path} must hold only tensors; it is a plain pickle, which may run code on loading, or is "
                "truncated or damaged: save the tensors by torch.save or safetensors where it was made, or "
                "get it again"
            )
        value = _read_torch(path)
    else:
        raise WeightsError(
            f"{path} must be a PyTorch, safetensors or Keras file; found one that starts with "
            f"{start[:40]!r}; get it again, or convert it"
        )
    state, taken = _checked(value, path, expected)
    tensors, notes = as_float32(state)
    return tensors, taken + notes


def save_weights(path: Path, state_dict: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write safetensors with JSON metadata; the same arguments give the same bytes."""
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for key, value in state_dict.items():
        tensor = value.detach().cpu().contiguous()
        # safetensors refuses tensors that share memory, as tied weights do.
        tensors[key] = tensor.clone() if tensor.untyped_storage().data_ptr() in seen else tensor
        seen.add(tensor.untyped_storage().data_ptr())
    text = json.dumps(dict(metadata), sort_keys=True, allow_nan=False)
    with writing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={KEY: text})
        except SafetensorError as error:
            # safetensors' message for a full disk ends in "(os error 28)".
            if number := re.search(r"os error (\d+)", str(error)):
                raise OSError(int(number[1]), str(error)) from error
            raise


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_weights` wrote: tensors and metadata."""
    if not path.is_file():
        raise WeightsError(
            f"a weights file must exist; found none at {str(path)!r}: correct the path, or in a project run "
            "`dvc repro`, which writes it"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {})[KEY])
            # Cloned, because a tensor's alignment in the file depends on the metadata's length, and BLAS sums
            # in another order at another alignment: equal weights must give equal bits.
            return {key: file.get_tensor(key).clone() for key in file.keys()}, metadata
    except (SafetensorError, KeyError, ValueError, RecursionError) as error:  # the last of many brackets
        raise WeightsError(
            f"{path} must be safetensors with unitmean's metadata; found {error!r}: in a project run `dvc "
            "repro`, which writes it again; another program's file goes through `unitmean normalise`, or the "
            "pipeline (weights=file weights.path=…)"
        ) from error


def read_record(path: Path) -> dict[str, Any] | None:
    """The metadata that `save_weights` wrote; None for a file that another program wrote."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > LONGEST or not (header := file.read(length)).startswith(b"{"):
            return None
    try:
        record = json.loads(json.loads(header)["__metadata__"][KEY])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _read_safetensors(path: Path) -> Any:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}
    except SafetensorError as error:
        raise WeightsError(
            f"{path} must be whole safetensors; found {str(error)!r}; "
            "it is truncated or damaged: get it again"
        ) from error


# What NumPy's single numbers are made of, such as an accuracy that is saved beside the weights: no code runs.
_SCALAR: Any = np.float64(0).__reduce__()[0]
NUMBERS: list[Any] = [
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),  # as NumPy 1 calls it
    np.dtype,
    *(getattr(np.dtypes, name) for name in np.dtypes.__all__),
]


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # about old or strange files, which end in an error or don't matter
            _require_room(path)
            # Given a path, torch would go by its suffix.
            with path.open("rb") as file, safe_globals(NUMBERS):
                return torch.load(file, map_location="cpu", weights_only=True)
    except (WeightsError, MemoryError):
        raise
    except Exception as error:  # torch raises a dozen unrelated types for damaged files
        reason = str(error) or type(error).__name__
        if isinstance(error, pickle.UnpicklingError) and re.search(r"GLOBAL numpy\b", reason):
            raise WeightsError(
                f"{path} must hold tensors; it holds NumPy arrays; save them as tensors where it was made"
            ) from error
        if isinstance(error, pickle.UnpicklingError) and (code := re.search(r"GLOBAL (\S+)", reason)):
            raise WeightsError(
                f"{path} must hold only tensors; it holds {code[1]}, code that would run on loading, "
                "or is damaged; ask its author for a state dict or safetensors"
            ) from error
        raise WeightsError(
            f"{path} must be a whole PyTorch file; found {reason[-160:]!r}; "
            "it is truncated or damaged: get it again"
        ) from error


def _require_room(path: Path) -> None:
    """WeightsError for an archive that claims to hold far more than it does: torch would allocate it."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        claimed, size = sum(member.file_size for member in archive.infolist()), path.stat().st_size
    if claimed > MOST * size:
        raise WeightsError(
            f"{path} must hold what it says; it claims {claimed:,} bytes in a file of {size:,}; "
            "it is damaged or hostile: get it elsewhere"
        )


def _checked(value: Any, path: Path, expected: Collection[str]) -> tuple[dict[str, Tensor], list[str]]:
    if isinstance(value, Mapping):
        if taken := fitting(value, expected):
            notes = [f"the checkpoint's {taken.where} was taken"] if taken.where else []
            if taken.others:
                count, named = len(taken.others), ", ".join(taken.others[:4])
                dicts = "dict" if count == 1 else "dicts"
                notes.append(f"{count} other {dicts} of tensors left out: {named}")
            return dict(taken.state), notes
        wrong = next(
            (k for k, v in value.items() if not isinstance(k, str) or not isinstance(v, Tensor)), None
        )
        found = f"{wrong!r}: {type(value[wrong]).__name__}" if value else "an empty dict"
    else:
        found = type(value).__name__
    raise WeightsError(
        f"{path} must hold a state dict, names with tensors; found {found}; save model.state_dict() alone"
    )


def as_float32(state_dict: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Dense tensors with float32 in place of other floating types, and a note on each type converted."""
    tensors: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for key, value in state_dict.items():
        tensor = value.detach()
        if tensor.is_meta:
            raise WeightsError(
                f"{key} must hold its numbers; it was saved on the meta device, without any: save the model "
                "after its weights are loaded"
            )
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            raise WeightsError(
                f"{key} must be a dense real tensor; found {tensor.dtype} {tensor.layout}; save it dense"
            )
        if (held := tensor.untyped_storage().nbytes() // tensor.element_size()) < tensor.numel():
            raise WeightsError(
                f"{key} must hold its {tensor.numel():,} numbers; found {held:,} that are repeated: "
                "save it contiguous"
            )
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            dtype = str(tensor.dtype).removeprefix("torch.")
            counts[dtype] = counts.get(dtype, 0) + 1
            tensor = tensor.to(torch.float32)
        tensors[key] = tensor
    return tensors, [f"{count} {dtype} tensors were converted to float32" for dtype, count in counts.items()]
