"""What `null` stands for in collect.*: sizes and compilation that suit the device."""

# Small batches stay in a CPU's caches; a GPU needs large ones to be busy.
BATCH = {"cpu": 8, "cuda": 256}
# Images whose sums are kept together. Keeping takes 30 ms, in which a GPU measures 250 images.
SHARD = {"cpu": 64, "cuda": 2048}
# Measured on one H100, VGG-19 at 224 pixels in bfloat16: 2,650 images a second, compiled 10,200 after 15
# seconds of compiling. So it pays from 54,000 images on. It is never chosen on a CPU, where it needs a C++
# compiler.
COMPILING = 15.0
SAVED = 1 / 2650 - 1 / 10200


def batch_size(asked: int | None, device: str) -> int:
    """Images that the network is shown together."""
    return BATCH[device] if asked is None else asked


def shard_size(asked: int | None, batch: int, device: str) -> int:
    """Images whose sums are kept together; whole batches of them, so that none is cut short."""
    return max(1, SHARD[device] // batch) * batch if asked is None else asked


def compiles(asked: bool | None, device: str, images: int) -> bool:
    """Whether compiling the network takes less time than it saves."""
    return device == "cuda" and images * SAVED > COMPILING if asked is None else asked
