import os
import threading
from pathlib import Path

import pytest
import torch

from unitmean.decode import decode
from unitmean.errors import ConfigError, DataError
from unitmean.pipeline.index.batches import batches
from unitmean.pipeline.index.containers import list_images
from unitmean.pipeline.index.index import Index, build_rows
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.sources.images.generated import generate

SMALL = Preprocessing("warp", 6)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    tar = tmp_path_factory.mktemp("generated") / "images.tar"
    generate(tar, count=11, size=12, seed=0)
    rows, _ = build_rows(tar, list_images(tar), tar.name, seed=0, skip=False)
    return Index(tuple(rows), tar.parent)


def workers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("unitmean-ahead")]


@pytest.mark.parametrize("batch_size", [1, 4, 11, 20])
def test_batches_hold_every_image_in_order(index, batch_size):
    found = list(batches(index, SMALL, batch_size))
    assert [len(batch) for batch in found[:-1]] == [batch_size] * (len(found) - 1)
    whole = torch.cat(found)
    assert (whole.dtype, whole.shape) == (torch.float32, (11, 3, 6, 6))
    one_by_one = [SMALL(decode(index.read(row), row.name)).float() / 255 for row in index.rows]
    assert torch.equal(whole, torch.stack(one_by_one))
    assert 0 <= whole.min() < 0.2 and 0.8 < whole.max() <= 1
    assert not workers()


def test_consumer_may_stop_early(index):
    for _ in batches(index, SMALL, 2):
        break
    assert not workers()


def test_wrong_batch_size_is_refused_at_once(index):
    with pytest.raises(ConfigError, match="collect.batch_size must be at least 1; found 0"):
        batches(index, SMALL, 0)


def test_changed_image_stops_the_run(index, tmp_path):
    row = index.rows[7]
    raw = bytearray((index.root / row.container).read_bytes())
    raw[row.offset + row.size // 2] ^= 1
    (tmp_path / row.container).write_bytes(raw)
    seen = 0
    with pytest.raises(DataError, match=f"{row.name!r}.*changed"):
        for batch in batches(Index(index.rows, tmp_path), SMALL, 3):
            seen += len(batch)
    assert seen == 6
    assert not workers()


@pytest.mark.skipif("UNITMEAN_REAL" not in os.environ, reason="UNITMEAN_REAL names no folder with real data")
def test_photographs():
    folder = Path(os.environ["UNITMEAN_REAL"]) / "images"
    rows, skipped = build_rows(folder, list_images(folder), str(folder), seed=0, skip=False)
    assert not skipped and {row.mode for row in rows} == {"RGB", "L"}
    assert all(row.label == row.name[:9] for row in rows)
    channels = torch.cat([batch.mean((2, 3)) for batch in batches(Index(tuple(rows), folder), SMALL, 16)])
    assert len(channels) == len(rows)
    # ImageNet's means, as torchvision states them.
    assert (channels.mean(0) - torch.tensor([0.485, 0.456, 0.406])).abs().max() < 0.03
