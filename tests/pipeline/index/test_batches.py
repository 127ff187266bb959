import os
import threading
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from unitmean.decode import decode
from unitmean.errors import ConfigError, DataError
from unitmean.pipeline.index import batches as module
from unitmean.pipeline.index.batches import batches, pixel_batches, resized
from unitmean.pipeline.index.containers import list_images
from unitmean.pipeline.index.index import Index, build_rows
from unitmean.pipeline.index.pixels import pixels
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.sources.images.generated import generate

SMALL = Preprocessing("warp", 6)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    tar = tmp_path_factory.mktemp("generated") / "images.tar"
    generate(tar, count=11, size=12, seed=0)
    rows, _ = build_rows(tar, list_images(tar), tar.name, seed=0, skip=False)
    return Index(tuple(rows), tar.parent)


def by_pillow(data: bytes) -> Tensor:
    found: Tensor = pil_to_tensor(decode(data, "a"))
    return found


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("unitmean-ahead")]


@pytest.mark.parametrize("batch_size", [1, 4, 11, 20])
def test_batches_hold_every_image_in_order(index: Index, batch_size: int) -> None:
    found = list(batches(index, SMALL, batch_size))
    assert [len(batch) for batch in found[:-1]] == [batch_size] * (len(found) - 1)
    whole = torch.cat(found)
    assert (whole.dtype, whole.shape) == (torch.float32, (11, 3, 6, 6))
    one_by_one = [SMALL(by_pillow(index.read(row))).float() / 255 for row in index.rows]
    assert torch.equal(whole, torch.stack(one_by_one))
    assert 0 <= whole.min() < 0.2 and 0.8 < whole.max() <= 1
    assert not workers()


def test_consumer_may_stop_early(index: Index) -> None:
    for _ in batches(index, SMALL, 2):
        break
    assert not workers()


def test_wrong_batch_size_is_refused_at_once(index: Index) -> None:
    with pytest.raises(ConfigError, match="collect.batch_size must be at least 1; found 0"):
        batches(index, SMALL, 0)


def test_changed_image_stops_the_run(index: Index, tmp_path: Path) -> None:
    row = index.rows[7]
    assert row.offset is not None
    raw = bytearray((index.root / row.container).read_bytes())
    raw[row.offset + row.size // 2] ^= 1
    (tmp_path / row.container).write_bytes(raw)
    seen = 0
    with pytest.raises(DataError, match=f"{row.name!r}.*changed"):
        for batch in batches(Index(index.rows, tmp_path), SMALL, 3):
            seen += len(batch)
    assert seen == 6
    assert not workers()


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("preprocessing", [SMALL, Preprocessing("shorter", 8, 6)])
def test_images_of_equal_size_are_resized_together(device: str, preprocessing: Preprocessing) -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = [(20, 30), (30, 20), (20, 30), (8, 9), (30, 20), (6, 6)]
    images = [torch.randint(256, (3, *size), dtype=torch.uint8, generator=generator) for size in sizes]
    found = resized([image.to(device) for image in images], preprocessing)
    assert (found.dtype, found.device.type, found.shape) == (torch.uint8, device, (6, 3, 6, 6))
    alone = torch.stack([preprocessing(image) for image in images])
    # A CPU computes with bytes in integers, a GPU in float32.
    assert (found.cpu().int() - alone.int()).abs().max() <= (0 if device == "cpu" else 1)


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A GPU's streams and decoder played by the CPU; returns what was done with streams, in order."""
    done: list[str] = []

    class Stream:
        def __init__(self, device: str) -> None:
            pass

        def record_event(self) -> mock.Mock:
            done.append("made")
            return mock.Mock(spec=torch.cuda.Event)

        def wait_event(self, event: mock.Mock) -> None:
            done.append("waited for")

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda batch, stream: done.append("recorded"))
    monkeypatch.setattr(
        module, "pixels_on_gpu", lambda images, device: [pixels(data, row.name) for data, row in images]
    )
    return done


@pytest.mark.parametrize("feeders", [1, 3])
def test_a_gpus_batches_come_in_order_and_are_waited_for(
    index: Index, streams: list[str], feeders: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEEDERS", feeders)
    found = list(pixel_batches(index, SMALL, 4, device="cuda", decoder="gpu"))
    assert [len(batch) for batch in found] == [4, 4, 3]
    assert torch.equal(torch.cat(found), torch.cat(list(pixel_batches(index, SMALL, 4))))
    # Each batch is waited for before the network gets it, and its memory kept for as long as it is used.
    assert [event for event in streams if event != "made"] == ["waited for", "recorded"] * 3
    assert not workers()


def test_no_thread_outlives_a_gpus_batches(index: Index, streams: list[str], tmp_path: Path) -> None:
    for _ in pixel_batches(index, SMALL, 2, device="cuda", decoder="gpu"):
        break
    assert not workers()
    row = index.rows[7]
    assert row.offset is not None
    raw = bytearray((index.root / row.container).read_bytes())
    raw[row.offset + row.size // 2] ^= 1
    (tmp_path / row.container).write_bytes(raw)
    seen = 0
    with pytest.raises(DataError, match=f"{row.name!r}.*changed"):
        for batch in pixel_batches(Index(index.rows, tmp_path), SMALL, 3, device="cuda", decoder="gpu"):
            seen += len(batch)
    assert seen == 6
    assert not workers()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("decoder", ["cpu", "gpu"])
def test_batches_on_a_gpu(index: Index, decoder: str) -> None:
    wanted = torch.cat(list(pixel_batches(index, SMALL, 4)))
    batches = list(pixel_batches(index, SMALL, 4, device="cuda", decoder=decoder))
    assert [len(batch) for batch in batches] == [4, 4, 3]
    found = torch.cat(batches)
    assert (found.device.type, found.dtype) == ("cuda", torch.uint8)
    difference = (found.cpu().int() - wanted.int()).abs()
    assert difference.max() <= (0 if decoder == "cpu" else 8)
    assert not workers()
    for _ in pixel_batches(index, SMALL, 2, device="cuda", decoder=decoder):
        break
    assert not workers()


@pytest.mark.skipif("UNITMEAN_REAL" not in os.environ, reason="UNITMEAN_REAL names no folder with real data")
def test_photographs() -> None:
    folder = Path(os.environ["UNITMEAN_REAL"]) / "images"
    rows, skipped = build_rows(folder, list_images(folder), str(folder), seed=0, skip=False)
    assert not skipped and {row.mode for row in rows} == {"RGB", "L"}
    assert all(row.label == row.name[:9] for row in rows)
    channels = torch.cat([batch.mean((2, 3)) for batch in batches(Index(tuple(rows), folder), SMALL, 16)])
    assert len(channels) == len(rows)
    # ImageNet's means, as torchvision states them.
    assert (channels.mean(0) - torch.tensor([0.485, 0.456, 0.406])).abs().max() < 0.03
