"""A full disk is the system's error, whatever a library calls it."""

import errno
from pathlib import Path

import pytest
import torch

from unitmean.layouts.layout import save


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_torch_does_not_hide_it() -> None:
    with pytest.raises(OSError) as found:
        save(Path("/dev/full"), {"a": torch.rand(100_000)})
    assert found.value.errno == errno.ENOSPC
