"""Where a network runs and in what."""

import pytest
import torch

from unitmean.device import choose_device, choose_precision, full_float32
from unitmean.errors import ConfigError


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True, "avx512_bf16": False}, "float32"),
        ({"avx512_f": True, "amx_int8": True}, "float32"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"bf16": True}, "bfloat16"),
    ],
)
def test_auto_takes_bfloat16_where_the_cpu_has_it(monkeypatch, capabilities, expected) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_precision("auto", "cpu") == expected
    assert [choose_precision(name, "cpu") for name in ("float32", "bfloat16")] == ["float32", "bfloat16"]


def test_a_gpu_is_taken_where_there_is_one_and_asked_for_in_vain_otherwise(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [choose_device(name) for name in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"
    with pytest.raises(ConfigError, match="runtime.device=cuda needs a GPU.*runtime.device=auto"):
        choose_device("cuda")


def test_tf32_is_off_inside_and_as_before_outside() -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn

    def settings() -> tuple[bool, ...]:
        return matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic

    before = settings()
    assert before[1]  # torch's default
    with pytest.raises(KeyError), full_float32():
        assert settings() == (False, False, True)
        raise KeyError
    assert settings() == before
