"""What a network runs on, and in which precision."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from unitmean.errors import ConfigError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

# Of torch.cpu.get_capabilities(): x86 with AVX512-BF16 or AMX, Arm with BF16. Elsewhere bfloat16 is emulated.
CPU_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def choose_device(name: str) -> str:
    """ "cuda" or "cpu", for "auto" the first where there is one; ConfigError where there is none to use."""
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise ConfigError(
            "runtime.device=cuda needs a GPU that this build of torch can use; found none: "
            "use runtime.device=auto"
        )
    return "cuda" if found and name != "cpu" else "cpu"


def choose_precision(name: str, device: str) -> str:
    """ "float32" or "bfloat16", for "auto" the second where the device has instructions for it."""
    return ("bfloat16" if _has_bfloat16(device) else "float32") if name == "auto" else name


@contextmanager
def full_float32() -> Iterator[None]:
    """float32 products with all their bits: TF32, cuDNN's default, keeps ten. Algorithms are reproducible."""
    matmul: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    before = (matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark)
    try:
        # torch refuses to export while these are set one operator at a time (`conv.fp32_precision`).
        matmul.allow_tf32 = cudnn.allow_tf32 = cudnn.benchmark = False
        cudnn.deterministic = True
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = before


def _has_bfloat16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in CPU_BFLOAT16)
