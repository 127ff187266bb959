"""What an audit needs."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from unitmean.errors import NetworkError
from unitmean.networks.inputs import TORCHVISION
from unitmean.networks.skeleton import skeleton
from unitmean.pipeline.audit.candidates import Trials
from unitmean.pipeline.audit.published import Published, try_candidates
from unitmean.pipeline.index.containers import list_images
from unitmean.pipeline.index.index import Index, build_rows


def test_a_network_without_rectifiers_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    rows, _ = build_rows(tmp_path, list_images(tmp_path), str(tmp_path), seed=0, skip=False)
    name = "mobilenet_v2"
    state = {key: torch.zeros(value.shape) for key, value in skeleton(name).state_dict().items()}
    published = Published(Path("w.pth"), name, state, "torchvision", TORCHVISION, [])
    with pytest.raises(NetworkError, match="must have a rectifier.*found none, but hardtanh"):
        try_candidates(
            published, Index(tuple(rows), tmp_path), Trials(32, ["warp"], ["zeros"], ["max"]), tmp_path
        )
