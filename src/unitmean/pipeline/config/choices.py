"""What a key may be set to, where only a few words will do."""

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any

from unitmean.pipeline.config.registries import image_sources, layouts, statistics, weights_sources


def _registered(name: str, choices: Iterable[str], meaning: str) -> Any:
    """An Enum of what a registry holds; type checkers know one of its members."""
    found: Any = Enum(name, {choice: choice for choice in choices}, module=__name__)  # type: ignore[misc]
    found.__doc__ = meaning
    return found


class Pooling(Enum):
    """How the network's pooling layers pool."""

    max = "max"
    avg = "avg"


class Padding(Enum):
    """What the network's convolutions see beyond the border."""

    zeros = "zeros"
    reflect = "reflect"


if TYPE_CHECKING:

    class WeightsSource(Enum):
        seeded = "seeded"

else:
    WeightsSource = _registered("WeightsSource", weights_sources(), "Where the weights come from.")


class WeightsInput(Enum):
    """Which pixels the weights were trained on; auto: as the source or layout says; unit: RGB in [0, 1]."""

    auto = "auto"
    torchvision = "torchvision"
    caffe = "caffe"
    unit = "unit"


if TYPE_CHECKING:

    class DatasetSource(Enum):
        generated = "generated"

else:
    DatasetSource = _registered("DatasetSource", image_sources(), "Where the images come from.")


class OnError(Enum):
    """What an image that can't be decoded does to the run."""

    stop = "stop"
    skip = "skip"


class Resize(Enum):
    """warp: the whole image to a square of so many pixels, ignoring its aspect; shorter: the shorter side."""

    warp = "warp"
    shorter = "shorter"


class Outputs(Enum):
    """Rectifiers that are the network's outputs; auto: preserve with a head, else normalise."""

    auto = "auto"
    preserve = "preserve"
    normalise = "normalise"


class Rounding(Enum):
    """none: exact factors; pow2: the nearest power of two, so that outputs stay equal bit for bit."""

    none = "none"
    pow2 = "pow2"


if TYPE_CHECKING:

    class Statistic(Enum):
        mean = "mean"

else:
    Statistic = _registered("Statistic", statistics(), "What of each channel is to be one.")


class Precision(Enum):
    """What convolutions compute in; auto: float32 on a CPU; on a GPU float16, or tf32 if that overflows."""

    float32 = "float32"
    tf32 = "tf32"
    float16 = "float16"
    bfloat16 = "bfloat16"
    auto = "auto"


class Decoder(Enum):
    """Where JPEGs are decoded; gpu: by nvJPEG, whose pixels differ a little; auto: gpu where there is one."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


class Engine(Enum):
    """Who measures the shards; ray: a Ray cluster, by unitmean[ray]."""

    local = "local"
    ray = "ray"


class Device(Enum):
    """What networks run on; auto: a GPU where there is one."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


if TYPE_CHECKING:

    class Export(Enum):
        all = "all"

else:
    Export = _registered(
        "Export",
        [*layouts(), "all"],
        "Layouts to write the normalised weights in, besides the canonical one; all: all that fit.",
    )


class Resizing(Enum):
    """warp: squeezed to a square; crop: shorter side to these pixels, then its middle; resize_crop: 8/7."""

    warp = "warp"
    resize_crop = "resize_crop"
    crop = "crop"


class Init(Enum):
    """The picture that style transfer starts from."""

    content = "content"
    style = "style"
    noise = "noise"


class Optimiser(Enum):
    """lbfgs: as the paper, with a line search; adam: less memory, for large pictures."""

    lbfgs = "lbfgs"
    adam = "adam"


class LayerWeights(Enum):
    """equal: style layers alike; authors: 1/channels^2 each with the original network, else alike."""

    equal = "equal"
    authors = "authors"
