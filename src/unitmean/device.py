"""The device that a network runs on, and the precision of its arithmetic."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from unitmean.errors import ConfigError

# TF32 is float32 whose products a GPU rounds to ten bits of mantissa.
DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def choose_device(name: str, setting: str = "runtime.device=") -> str:
    """The device "cuda" or "cpu"; "auto" is "cuda" where there is a GPU.

    Raises ConfigError for "cuda" without a GPU; `setting` is how the user asked for it, for the message.
    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise ConfigError(
            f"{setting}cuda needs a GPU that this build of torch can use; found none: use {setting}auto"
        )
    return "cuda" if found and name != "cpu" else "cpu"


def choose_precision(name: str, device: str) -> str:
    """A key of DTYPES; "auto" is float16 on a GPU and float32 on a CPU, whose results others can repeat.

    Raises ConfigError for TF32 on a CPU.
    """
    if name == "tf32" and device != "cuda":
        raise ConfigError(
            f"collect.precision=tf32 needs a GPU; found the device {device}: use collect.precision=float32"
        )
    return ("float16" if device == "cuda" else "float32") if name == "auto" else name


@contextmanager
def arithmetic(precision: str = "float32") -> Iterator[None]:
    """Let CUDA compute float32 products in full precision, or in TF32 for "tf32", reproducibly.

    By default cuDNN computes float32 in TF32.
    """
    matmul: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    before = (matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark)
    try:
        # torch refuses to export while these are set one operator at a time (`conv.fp32_precision`).
        matmul.allow_tf32 = cudnn.allow_tf32 = precision == "tf32"
        cudnn.benchmark, cudnn.deterministic = False, True
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = before
