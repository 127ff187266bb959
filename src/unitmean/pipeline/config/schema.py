"""The schema of the configuration: every key, its type, its default and what it means.

Hydra composes conf/ on top of it, so a misspelt key or a wrong type is refused before anything runs.
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


@dataclass
class Model:
    """The network."""

    name: str = "vgg19"  # a classification model of torchvision; names the folder data/<name>
    pooling: Pooling = Pooling.max
    padding: Padding = Padding.zeros


@dataclass
class Weights:
    """Where the weights come from."""

    source: WeightsSource = WeightsSource.seeded
    seed: int = 0  # seeded: the generator's seed
    spread: float = 3.0  # seeded: orders of magnitude that hold 99% of the channel gains
    path: str | None = None  # file: a weights file
    url: str | None = None  # url: where to download a weights file
    sha256: str | None = None  # url, file: the file's sha256, or its first 8 or more digits
    input: WeightsInput = WeightsInput.auto


@dataclass
class Dataset:
    """The images."""

    name: str = "generated"  # names the folder data/<name>/images
    source: DatasetSource = DatasetSource.generated
    path: str | None = None  # folder, ilsvrc_val: a folder or a tar; webdataset, parquet: folder or files
    labels: str | None = None  # a text file of names and synsets or class numbers; null: synsets in the names
    url: str | None = None  # url: an archive, plain or compressed by gzip, bzip2 or xz
    digest: str | None = None  # url: the archive's sha256, or "md5:" and its md5
    subset: int | None = None  # how many images to measure, drawn in hash order; null: all
    seed: int = 0  # of the hash order
    count: int = 256  # generated: how many images to make
    pixels: int = 256  # generated: height and width in pixels
    expected: int | None = None  # how many images there must be; null: any
    on_error: OnError = OnError.stop


@dataclass
class Audit:
    """Are the fetched weights normalised already, and by which measurement?"""

    enabled: bool = False  # try the candidates
    images: int = 64  # the index's first ones; each candidate sees all of them
    pixels: int = 224  # the network's input in pixels
    resizes: list[Resizing] = field(default_factory=lambda: list(Resizing))
    paddings: list[Padding] = field(default_factory=lambda: list(Padding))
    poolings: list[Pooling] = field(default_factory=lambda: list(Pooling))  # avg where the network allows it


@dataclass
class Preprocess:
    """From a decoded image to the network's input."""

    resize: Resize = Resize.warp
    pixels: int = 224  # of the image resized; without a crop the network's input
    crop: int | None = None  # centre crop in pixels; null: none
    antialias: bool = True


@dataclass
class Collect:
    """How statistics are collected."""

    batch_size: int | None = None  # null: 256 on a GPU, 8 on a CPU
    shard_size: int | None = None  # images whose sums are kept together; null: 64, or a batch if that is more
    precision: Precision = Precision.auto
    control_images: int = 32  # the first images, measured in float32 too: tells a lesser precision's error
    correct: bool | None = None  # multiply each channel by what the control images say; null: on a GPU
    histograms: bool = False  # count each channel's activations in 385 buckets, which quantiles need
    compile: bool | None = None  # torch.compile; null: on a GPU, for 54,000 images and more, where it pays
    decoder: Decoder = Decoder.auto
    engine: Engine = Engine.local
    target_standard_error: float | None = None  # relative; stop at the shard that reaches it; null: never
    target_share: float = 0.95  # of the channels ever active that must reach it


@dataclass
class Rescale:
    """How weights are rescaled."""

    outputs: Outputs = Outputs.auto
    rounding: Rounding = Rounding.none
    statistic: Statistic = Statistic.mean
    quantile: float = 0.999  # statistic=quantile, which needs collect.histograms: this share lies below one
    strict: bool = True  # refuse a network that can be normalised only in part
    min_active_fraction: float = 1e-6  # a channel active at fewer positions is dead: its factor is one
    # A mean with a larger standard error (relative) is not known to differ from zero: such a channel is
    # nearly dead, and its factor is one. A channel active in a single image has a relative error of one.
    max_relative_error: float = 0.9
    max_dead_fraction: float = 0.25  # of all channels; more than that stops the run
    # Of VGG-19 a file with its head (torchvision, neural_style_pt, onnx) is 575 MB, without it 80 MB.
    exports: list[Export] = field(default_factory=list)


@dataclass
class Verify:
    """What the proof measures and tolerates."""

    images: int = 4  # index images compared in float64 and float32
    random: int = 1  # random inputs compared likewise
    measured: int = 64  # images behind the factors on which means are measured again, in whole shards
    heldout: int = 32  # images behind dataset.subset, on which means and choices are measured once more
    seed: int = 0
    max_float64_difference: float = 1e-12  # relative
    max_float32_ratio: float = 3.0  # of float32's own error; two right networks differ by at most 2
    max_mean_ratio: float = 8.0  # of a new channel mean's error to what float32 itself may do to it
    min_top1_agreement: float = 1.0


@dataclass
class Transfer:
    """Style transfer with both networks."""

    content: str | None = None  # a picture; null: the photograph that matplotlib ships
    style: str | None = None  # a picture; null: a generated one
    pixels: int = 128  # longer side
    scales: int = 1  # sizes, each half the next, at which the picture is made from coarse to fine
    steps: int = 20  # iterations at each size
    init: Init = Init.content
    optimiser: Optimiser = Optimiser.lbfgs
    rate: float = 0.02  # adam: how far a step moves a pixel, of its range
    pooling: Pooling = (
        Pooling.avg
    )  # of the network while it makes the picture; means are measured with model's
    preview: int | None = None  # write the picture every so many steps; null: never
    content_layer: str | None = None  # a rectifier; null: as the paper's relu4_2, see docs/style.md
    # Rectifiers; null: as the paper's relu1_1 to relu5_1, the first at each resolution.
    style_layers: list[str] | None = None
    content_weight: float = 1.0  # of 1/(2 N M) sum (F - P)^2, N channels, M positions
    style_weight: float = 1000.0  # of all style layers together, each as in the paper's equation 4
    layer_weights: LayerWeights = LayerWeights.equal
    seed: int = 0  # of the noise, and of the generated style picture
    min_decrease: float = 0.5  # the loss must fall by this fraction


@dataclass
class Runtime:
    """What the stages run on."""

    device: Device = Device.auto


@dataclass
class Meta:
    """What ties params.yaml to conf/."""

    conf_sha: str = "${conf_sha:}"


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
    runtime: Runtime = field(default_factory=Runtime)
    meta: Meta = field(default_factory=Meta)
