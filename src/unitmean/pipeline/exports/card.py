"""The card that goes with the files: what they are, how they were made, how to load each of them."""

from collections.abc import Mapping
from typing import Any

from unitmean.layouts.writing import sequential_places
from unitmean.networks.architectures import Network
from unitmean.networks.inputs import CAFFE, TORCHVISION, Input
from unitmean.networks.loaded import OUTPUT, Loaded
from unitmean.statistics import words

CANONICAL = """\
### normalised.safetensors

The canonical file, beside this folder: torchvision's keys, and what this card says as metadata.

    network = unitmean.load("normalised.safetensors")  # eats RGB in [0, 1]"""
STAND_IN = """\
**A stand-in:** the original weights are random numbers, badly scaled on purpose. This file shows \
what the pipeline does; it is of no use for real pictures."""
HOW = {
    "torchvision": """\
Module and keys are torchvision's; preprocess as said above.

    network = torchvision.models.{model}()
    network.load_state_dict(torch.load("{file}", weights_only=True))""",
    "torchvision without a head": """\
Keys are torchvision's `features.…`; preprocess as said above.

    network = torchvision.models.{model}()
    network.load_state_dict(torch.load("{file}", weights_only=True), strict=False)

Only `network.features`, as far as the file goes, then holds something.""",
    "neural_style_pt": """\
    python neural_style.py -model_file {file} …

neural-style-pt tells the network by the whole path given to `-model_file`: it must hold "vgg" and \
"{depth}", and nowhere "sod", "pruning" or "fcn32s"{other}. Loss weights tuned for \
the plain network don't fit.""",
    "leongatys": """\
`VGG` is the class in the notebook of github.com/leongatys/PytorchNeuralStyleTransfer.

    vgg = VGG(); vgg.load_state_dict(torch.load("{file}", weights_only=True))

The notebook's `style_weights = [1e3/n**2 …]` correct the plain network: here use one weight for all layers, \
[1e9/5] * 5 with content_weights = [1e6] in the authors' own words.""",
    "adain": """\
The keys of `vgg_normalised.pth`: an `nn.Sequential` whose layer 0 is the preprocessing (it eats RGB in \
[0, 1]); a reflection padding precedes each 3x3 convolution, and these stand at {places}.

    vgg.load_state_dict(torch.load("{file}", weights_only=True))

With reflection padding and other pictures than those measured, means are near one, not one. Programs that
pool with `ceil_mode=True` see one row more of pictures whose sides are no multiple of 16.""",
    "onnx": """\
Input `image`: float32, n x 3 x {sides}, RGB in [0, 1]; outputs: {names}.

    onnxruntime.InferenceSession("{file}").run(["output"], {{"image": image}})""",
}


def card(
    network: Network,
    metadata: Mapping[str, Any],
    canonical: str,
    files: Mapping[str, tuple[str, str]],
    how: Mapping[str, str],
    counts: Mapping[str, int],
) -> str:
    """Markdown. `canonical` is the sha256 of normalised.safetensors, `files` name and sha256 by layout.

    `how` is `how_to_load`'s, `counts` how many channels were normalised, tied, dead and pinned.
    """
    measured = metadata.get("statistics", {})
    parts = [
        f"# {network.name}, normalised",
        _what(network, metadata, counts),
        *([STAND_IN] if metadata.get("source", {}).get("kind") == "seeded" else []),
        "**Not for LPIPS or DISTS**, nor for anything else whose learned weights assume the original channel "
        "scales: for losses and decoders that choose their own weights per layer.",
        "## What was measured\n\n" + _table(_facts(metadata, measured)),
        "## Pixels\n\n" + pixels(network.input),
        "## Files\n\n| file | sha256 |\n|---|---|\n"
        + "\n".join(f"| `{name}` | `{digest}` |" for name, digest in _all(canonical, files)),
        CANONICAL,
    ]
    parts += [f"### {name}\n\n{words}" for name, words in how.items()]
    return "\n\n".join(parts) + "\n"


def how_to_load(network: Network, files: Mapping[str, tuple[str, str]], size: int) -> dict[str, str]:
    """By file name, how its program loads it; `size` is the side of pictures, where it takes no other."""
    return {name: _how(layout, name, network, size) for layout, (name, _) in files.items()}


def pixels(input: Input) -> str:
    """The preprocessing in words and as a formula."""
    known = {CAFFE: "Caffe's: ", TORCHVISION: "torchvision's: "}.get(input, "")
    return (
        f"{known}`({input.scale:g} * x - mean) / std` with x {input.order.upper()} in [0, 1], "
        f"mean {list(input.mean)}, std {list(input.std)} in that order."
    )


def _what(network: Network, metadata: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    outputs = metadata.get("rescale", {}).get("outputs")
    function = (
        "It computes what the original computes: later layers take up what earlier ones were divided by."
        if outputs == "preserve"
        else "Its output is the original's, each channel divided by its factor (factors.parquet)."
    )
    rescale = metadata.get("rescale", {})
    mean = rescale.get("statistic", "mean") == "mean"
    source = " as in Gatys, Ecker and Bethge, CVPR 2016, section 2" if mean else ""
    images = metadata.get("statistics", {}).get("images", 0)
    return (
        f"The weights of {network.name}, rescaled channel by channel behind its rectifiers{source}. "
        f"{function} {words.became(counts, rescale, images)}"
    )


def _facts(metadata: Mapping[str, Any], measured: Mapping[str, Any]) -> list[tuple[str, Any]]:
    model, preprocess = measured.get("model", {}), measured.get("preprocess", {})
    return [
        ("original weights", _pairs(metadata.get("source", {}))),
        ("their licence", metadata.get("licence", "not known")),
        ("their sha256", measured.get("weights", "not known")),
        ("images", f"{measured.get('images', '?')} of {measured.get('dataset', 'a data set not known')}"),
        ("hash of the images' index", measured.get("index", "not known")),
        ("size", _pairs(preprocess)),
        ("pooling and padding", f"{model.get('pooling', '?')}, {model.get('padding', '?')}"),
        ("outputs", metadata.get("rescale", {}).get("outputs", "?")),
        ("unitmean, torch", f"{measured.get('unitmean', '?')}, {measured.get('torch', '?')}"),
    ]


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items() if value is not None)


def _table(rows: list[tuple[str, Any]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _all(canonical: str, files: Mapping[str, tuple[str, str]]) -> list[tuple[str, str]]:
    return [("normalised.safetensors", canonical), *files.values()]


def _how(layout: str, file: str, network: Network, size: int) -> str:
    convolutions = {path for path, name in network.layers.items() if name.startswith("conv")}
    places = [str(place) for path, place in sequential_places(network).items() if path in convolutions]
    if layout == "torchvision" and network.truncated:
        layout = "torchvision without a head"
    return HOW[layout].format(
        model=network.name,
        file=file,
        depth=network.name[3:5],
        other=', nor "19"' if network.name == "vgg16" else "",
        places=", ".join(places),
        sides="height x width" if network.truncated else f"{size} x {size}",
        names=", ".join(f"`{name}`" for name in [*Loaded(network).names, OUTPUT]),
    )
