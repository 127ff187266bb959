"""Where a network runs and in what."""

import pytest
import torch

from unitmean.device import DTYPES, arithmetic, choose_device, choose_precision
from unitmean.errors import ConfigError


def test_auto_is_float16_on_a_gpu_and_what_others_can_repeat_on_a_cpu() -> None:
    assert [choose_precision("auto", device) for device in ("cuda", "cpu")] == ["float16", "float32"]
    assert all(choose_precision(name, "cuda") == name for name in DTYPES)
    assert choose_precision("bfloat16", "cpu") == "bfloat16"
    with pytest.raises(ConfigError, match="tf32 needs a GPU.*use collect.precision=float32"):
        choose_precision("tf32", "cpu")


def test_a_gpu_is_taken_where_there_is_one_and_asked_for_in_vain_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
    with pytest.raises(KeyError), arithmetic():
        assert settings() == (False, False, True)
        raise KeyError
    assert settings() == before
    with arithmetic("tf32"):
        assert settings() == (True, True, True)
    assert settings() == before
