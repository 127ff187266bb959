"""The schema of the configuration: every key, its type, its default and what it means.

Hydra composes conf/ on top of it, so a misspelt key or a wrong type is refused before anything runs.
`key(default, "what it means", least=…, most=…)` says what a key's name and type don't.
The classes are not frozen: OmegaConf would make them read-only, and nothing could be composed on top.
"""

from dataclasses import dataclass, field

from unitmean.pipeline.config.choices import (
    DatasetSource,
    Decoder,
    Device,
    Engine,
    Export,
    Init,
    LayerWeights,
    OnError,
    Optimiser,
    Outputs,
    Padding,
    Pooling,
    Precision,
    Resize,
    Resizing,
    Rounding,
    Statistic,
    WeightsInput,
    WeightsSource,
)
from unitmean.pipeline.config.key import key


@dataclass
class Model:
    """The network."""

    name: str = key(
        "vgg19",
        "a classification model of torchvision, or with model.code a function or class of that file; names "
        "the folder data/<name>",
    )
    code: str | None = key(
        None, "a Python file of your own: its model.name, called without arguments, makes the network"
    )
    pooling: Pooling = Pooling.max
    padding: Padding = Padding.zeros


@dataclass
class Weights:
    """Where the weights come from."""

    source: WeightsSource = WeightsSource.seeded
    seed: int = key(0, "seeded: the generator's seed", least=0)
    # float32 holds 1e-38 to 1e38, and a network's layers multiply.
    spread: float = key(
        3.0, "seeded: orders of magnitude that hold 99% of the channel gains", least=0, most=12
    )
    path: str | None = key(None, "file: a weights file")
    url: str | None = key(None, "url: where to download a weights file")
    sha256: str | None = key(None, "url, file: the file's sha256, or its first 8 or more digits")
    input: WeightsInput = WeightsInput.auto


@dataclass
class Dataset:
    """The images."""

    name: str = key("generated", "names the folder data/<name>/images")
    source: DatasetSource = DatasetSource.generated
    path: str | None = key(
        None, "folder, ilsvrc_val: a folder, a tar or a zip; webdataset, parquet: folder or files"
    )
    labels: str | None = key(
        None, "a text file of names and synsets or class numbers; null: synsets in the names"
    )
    url: str | None = key(None, "url: an archive, plain or compressed by gzip, bzip2 or xz")
    digest: str | None = key(None, 'url: the archive\'s sha256, or "md5:" and its md5')
    subset: int | None = key(None, "how many images to measure, drawn in hash order; null: all", least=1)
    seed: int = key(0, "of the hash order", least=0)
    count: int = key(256, "generated: how many images to make", least=1)
    pixels: int = key(256, "generated: height and width in pixels", least=8)
    expected: int | None = key(
        None, "how many images there must be; null: any number, but 50,000 of ilsvrc_val", least=1
    )
    on_error: OnError = OnError.stop


@dataclass
class Audit:
    """Are the fetched weights normalised already, and by which measurement?"""

    enabled: bool = key(False, "try the candidates")
    images: int = key(
        64, "the index's first ones; each candidate sees all of them", least=2
    )  # two have a standard error
    pixels: int = key(224, "the network's input in pixels", least=8)
    resizes: list[Resizing] = key(list(Resizing))
    paddings: list[Padding] = key(list(Padding))
    poolings: list[Pooling] = key(list(Pooling), "avg where the network allows it")


@dataclass
class Preprocess:
    """From a decoded image to the network's input."""

    resize: Resize = Resize.warp
    pixels: int = key(224, "of the image resized; without a crop the network's input", least=1)
    crop: int | None = key(None, "centre crop in pixels; null: none", least=1)
    antialias: bool = True


@dataclass
class Collect:
    """How statistics are collected."""

    batch_size: int | None = key(None, "null: 256 on a GPU, 8 on a CPU", least=1)
    shard_size: int | None = key(
        None,
        "images whose sums are kept together; null: 2048 on a GPU, 64 on a CPU, in whole batches",
        least=1,
    )
    precision: Precision = key(Precision.auto, "auto with collect.histograms: tf32 on a GPU")
    control_images: int = key(
        32, "the first images, measured in float32 too: tells a lesser precision's error", least=4
    )  # each half of them has a standard error
    correct: bool | None = key(
        None, "multiply each channel by what the control images say; null: on a GPU, without histograms"
    )
    histograms: bool = key(False, "count each channel's activations in 385 buckets, which quantiles need")
    compile: bool | None = key(
        None, "torch.compile; null: on a GPU, for 54,000 images and more, where it pays"
    )
    decoder: Decoder = Decoder.auto
    engine: Engine = Engine.local
    target_standard_error: float | None = key(
        None, "relative; stop at the shard that reaches it; null: never", least=0
    )
    target_share: float = key(
        0.95,
        "of the channels ever active that must reach it",
        least=0,
        most=1,
        needs={"target_standard_error": None},
    )


@dataclass
class Rescale:
    """How weights are rescaled."""

    outputs: Outputs = Outputs.auto
    rounding: Rounding = Rounding.none
    statistic: Statistic = Statistic.mean
    quantile: float = key(
        0.999,
        "this share of the positions lies below one; needs collect.histograms",
        least=1e-6,
        most=1,
        needs={"statistic": "quantile"},
    )
    strict: bool = key(True, "refuse a network that can be normalised only in part")
    min_active_fraction: float = key(
        1e-6,
        "a channel active at fewer positions is dead: its factor is one unless live channels share it",
        least=0,
        most=1,
    )
    max_relative_error: float = key(
        0.9,
        "A mean with a larger standard error (relative) is not known to differ from zero: such a channel is "
        "nearly dead, and its factor is one unless live channels share it. A channel active in a single "
        "image has a relative error of one.",
    )
    max_dead_fraction: float = key(
        0.25, "of all channels, dead or with a negative statistic; more stop the run", least=0, most=1
    )
    exports: list[Export] = key(
        [],
        "Of VGG-19 a file with its head (torchvision, neural_style_pt, onnx) is 575 MB, without it 80 MB.",
    )


@dataclass
class Verify:
    """What the proof measures and tolerates."""

    images: int = key(4, "index images compared in float64 and float32", least=1)
    random: int = key(1, "random inputs compared likewise", least=0)
    measured: int = key(
        64, "images behind the factors on which means are measured again, in whole shards", least=1
    )
    heldout: int = key(
        32, "images behind dataset.subset, on which means and choices are measured once more", least=0
    )
    seed: int = key(0, least=0)
    max_float64_difference: float = key(1e-12, "relative", least=0)
    max_float32_ratio: float = key(
        3.0, "of float32's own error; two right networks differ by at most 2", least=0
    )
    max_mean_ratio: float = key(
        8.0, "of a new channel mean's error to what float32 itself may do to it", least=0
    )
    max_mean_error: float = key(
        1e-6, "relative; a new channel mean may be off by so much besides: it is itself rounded", least=0
    )
    min_top1_agreement: float = key(1.0, least=0, most=1)


@dataclass
class Transfer:
    """Style transfer with both networks."""

    enabled: bool = key(True, "false: no picture is made, and the report says so")
    content: str | None = key(None, "a picture; null: the photograph that matplotlib ships")
    style: str | None = key(None, "a picture; null: a generated one")
    pixels: int = key(128, "longer side", least=32)
    scales: int = key(
        1, "sizes, each half the next, at which the picture is made from coarse to fine", least=1
    )
    steps: int = key(20, "iterations at each size", least=1)
    init: Init = Init.content
    optimiser: Optimiser = Optimiser.lbfgs
    rate: float = key(
        0.02,
        "how far a step moves a pixel, of its range",
        least=0,
        most=1,
        needs={"optimiser": "adam"},
    )
    pooling: Pooling = key(
        Pooling.avg, "of the network while it makes the picture; means are measured with model's"
    )
    preview: int | None = key(None, "write the picture every so many steps; null: never", least=1)
    content_layer: str | None = key(None, "a rectifier; null: as the paper's relu4_2, see docs/style.md")
    style_layers: list[str] | None = key(
        None, "Rectifiers; null: as the paper's relu1_1 to relu5_1, the first at each resolution."
    )
    content_weight: float = key(1.0, "of 1/(2 N M) sum (F - P)^2, N channels, M positions", least=0)
    style_weight: float = key(
        1000.0, "of all style layers together, each as in the paper's equation 4", least=0
    )
    layer_weights: LayerWeights = LayerWeights.equal
    seed: int = key(0, "of the noise, and of the generated style picture", least=0)
    min_decrease: float = key(0.5, "the loss must fall by this fraction", least=0, most=1)


@dataclass
class Hub:
    """A folder for the Hugging Face hub."""

    enabled: bool = key(False, "make it; needs unitmean[hub]")
    licence: str | None = key(
        None, "the SPDX identifier of the weights' licence, such as cc-by-4.0; null: the source's, or other"
    )
    base_model: str | None = key(None, "the original's name on the hub, owner/name; null: none")


@dataclass
class Runtime:
    """What the stages run on."""

    device: Device = Device.auto


@dataclass
class Meta:
    """What ties params.yaml to conf/, and to the files that its keys name; written by the composition."""

    conf_sha: str = "${conf_sha:}"
    code: str | None = key("${contents:model.code}", "digest of the file and what it imports beside it")
    weights: str | None = key("${contents:weights.path}", "digest of the file")
    images: str | None = key("${contents:dataset.path}", "digest of the files")
    labels: str | None = key("${contents:dataset.labels}", "digest of the file")
    content: str | None = key("${contents:transfer.content}", "digest of the picture")
    style: str | None = key("${contents:transfer.style}", "digest of the picture")


@dataclass
class Config:
    """The whole of params.yaml."""

    model: Model = field(default_factory=Model)
    weights: Weights = field(default_factory=Weights)
    dataset: Dataset = field(default_factory=Dataset)
    audit: Audit = field(default_factory=Audit)
    preprocess: Preprocess = field(default_factory=Preprocess)
    collect: Collect = field(default_factory=Collect)
    rescale: Rescale = field(default_factory=Rescale)
    verify: Verify = field(default_factory=Verify)
    transfer: Transfer = field(default_factory=Transfer)
    hub: Hub = field(default_factory=Hub)
    runtime: Runtime = field(default_factory=Runtime)
    meta: Meta = field(default_factory=Meta)
