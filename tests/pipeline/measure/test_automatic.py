import pytest

from unitmean.pipeline.measure.automatic import shard_size


@pytest.mark.parametrize(
    ("asked", "batch", "device", "size"),
    [
        (None, 8, "cpu", 64),
        (None, 5, "cpu", 60),
        (None, 100, "cpu", 100),
        (None, 256, "cuda", 2048),
        (None, 3000, "cuda", 3000),
        (7, 8, "cuda", 7),
    ],
)
def test_a_shard_holds_whole_batches_where_it_may(
    asked: int | None, batch: int, device: str, size: int
) -> None:
    assert shard_size(asked, batch, device) == size
