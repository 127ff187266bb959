"""Recognises weights files of other programs, and says how to convert them."""

import zipfile
from pathlib import Path

_STATE = "load it where it was made, and save its tensors by torch.save(model.state_dict(), …)"
_BY_START = (
    (b"\x93NUMPY", "a NumPy array", "save each as a tensor, under the layer's name, by safetensors"),
    (
        b"MATLAB 5.0",
        "a MATLAB file, as MatConvNet's",
        "export its parameters to safetensors from MATLAB or SciPy",
    ),
)
_BY_SUFFIX = {
    ".caffemodel": (
        "a Caffe model",
        "convert it, as github.com/jcjohnson/pytorch-vgg did: weights=caffe is its result",
    ),
    ".prototxt": ("Caffe's description of a network", "take the .caffemodel beside it, converted"),
    ".t7": ("a Torch7 file", "convert it to safetensors with a reader of Torch7 files"),
    ".onnx": ("an ONNX model", "save its initializers by safetensors, under the layers' names"),
    ".pb": ("a TensorFlow graph", "save its variables by safetensors, under the layers' names"),
    ".ckpt": ("a TensorFlow checkpoint", "save its variables by safetensors, under the layers' names"),
}


def _names(path: Path) -> list[str]:
    """The members of a zip archive; none for a damaged one, whose fault is reported when it is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except Exception:  # zipfile raises half a dozen unrelated types
        return []


def foreign(path: Path, start: bytes) -> tuple[str, str] | None:
    """What the file is and what to do with it, if it is recognised as another program's; else None."""
    for magic, what, remedy in _BY_START:
        if start.startswith(magic):
            return what, remedy
    if start.startswith(b"PK"):
        names = _names(path)
        if any("/code/" in name or name.endswith("constants.pkl") for name in names):
            return "a TorchScript program", _STATE
        if any(name.endswith("/archive_format") for name in names):
            return "a program of torch.export", _STATE
        if names and all(name.endswith(".npy") for name in names):
            return "NumPy arrays (.npz)", "save them as tensors, under the layers' names, by safetensors"
        return None
    return None if start.startswith((b"PK", b"\x80")) else _BY_SUFFIX.get(path.suffix.lower())
