"""The card that goes with the files: what they are, how they were made, how to load each of them."""

from collections.abc import Mapping
from typing import Any

from unitmean.hub import WEIGHTS
from unitmean.networks.architectures import Network
from unitmean.networks.inputs import CAFFE, TORCHVISION, Input
from unitmean.networks.own import own
from unitmean.statistics import words

CANONICAL = """\
### normalised.safetensors

The canonical file: {keys}, and what this card says as metadata.

    network = unitmean.load("normalised.safetensors"{model})  # takes RGB in [0, 1]"""
# On the hub, where the canonical file has the name that is usual there.
HUB = """\
### model.safetensors

{keys}, and what this card says as metadata.

    # pip install 'unitmean[hub]'
    network = unitmean.load("hf://OWNER/NAME"{model})  # or this folder; takes RGB in [0, 1]
    network.activations(images, ["relu1_1", "relu4_2"])  # of VGGs; network.names lists what there is"""
FACTORS = """\
## Factors of the output

The file's metadata hold them, one a channel: the output times its factors is the original's.

    import json, safetensors
    with safetensors.safe_open("{name}", "pt") as file:
        factors = json.loads(file.metadata()["unitmean"])["rescale"]["output_factors"]"""
STAND_IN = """\
**A stand-in:** the original weights are random numbers, badly scaled on purpose. This file shows \
what the pipeline does; it is of no use for real pictures."""


def card(
    network: Network,
    metadata: Mapping[str, Any],
    canonical: str,
    files: Mapping[str, str],
    how: Mapping[str, str],
    counts: Mapping[str, int],
    *,
    hub: bool = False,
) -> str:
    """Markdown. `canonical` is the sha256 of the canonical file, `files` the other files' by name.

    `how` tells how each of these is loaded, in Markdown; `counts` are the numbers of channels: all,
    normalised, tied, dead and pinned. hub: whether the card is for a folder for the hub.
    """
    name = WEIGHTS if hub else "normalised.safetensors"
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
        + "\n".join(f"| `{file}` | `{digest}` |" for file, digest in [(name, canonical), *files.items()]),
        _loading(HUB if hub else CANONICAL, network),
    ]
    parts += [f"### {file}\n\n{words}" for file, words in how.items()]
    if metadata.get("rescale", {}).get("output_factors"):
        parts.append(FACTORS.format(name=name))
    return "\n\n".join(parts) + "\n"


def pixels(input: Input) -> str:
    """The preprocessing in words and as a formula."""
    known = {CAFFE: "Caffe's: ", TORCHVISION: "torchvision's: "}.get(input, "")
    scaled = "x" if input.scale == 1 else f"{input.scale:g} * x"
    return (
        f"{known}`({scaled} - mean) / std` with x {input.order.upper()} in [0, 1], "
        f"mean {list(input.mean)}, std {list(input.std)} in that order."
    )


def _what(network: Network, metadata: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    outputs = metadata.get("rescale", {}).get("outputs")
    function = (
        "It computes what the original computes: later layers take up what earlier ones were divided by."
        if outputs == "preserve"
        else "Its output is the original's, each channel divided by its factor (see below)."
    )
    rescale = metadata.get("rescale", {})
    mean = rescale.get("statistic", "mean") == "mean"
    source = " as in Gatys, Ecker and Bethge, CVPR 2016, section 2" if mean else ""
    images = metadata.get("statistics", {}).get("images", 0)
    return (
        f"The weights of {network.name}, rescaled channel by channel behind its rectifiers{source}. "
        f"{function} {words.became(counts, rescale, images)}"
    )


def _loading(template: str, network: Network) -> str:
    mine = own(network.architecture)
    keys = "the network's own keys" if mine else "torchvision's keys"
    model = f', model="{mine[0].name}:{mine[1]}"' if mine else ""
    return template.format(keys=keys[0].upper() + keys[1:] if template is HUB else keys, model=model)


def _facts(metadata: Mapping[str, Any], measured: Mapping[str, Any]) -> list[tuple[str, Any]]:
    model, preprocess = measured.get("model", {}), measured.get("preprocess", {})
    notes = metadata.get("notes", [])  # on which tensors of a checkpoint were taken, and what was left out
    code = metadata.get("code")
    return [
        *([("code that makes it, with its imports", _pairs(code))] if code else []),
        ("original weights", _pairs(metadata.get("source", {}))),
        *([("of that file", "; ".join(notes))] if notes else []),
        ("their licence", metadata.get("licence", "not known")),
        ("their sha256", measured.get("weights", "not known")),
        ("images", _images(measured)),
        ("hash of the images' index", measured.get("index", "not known")),
        ("size", _pairs(preprocess)),
        ("pooling and padding", f"{model.get('pooling', '?')}, {model.get('padding', '?')}"),
        ("outputs", metadata.get("rescale", {}).get("outputs", "?")),
        ("unitmean, torch", f"{measured.get('unitmean', '?')}, {measured.get('torch', '?')}"),
    ]


def _images(measured: Mapping[str, Any]) -> str:
    skipped = measured.get("skipped", 0)
    left_out = f"; {skipped} files left out, as they don't decode" if skipped else ""
    return f"{measured.get('images', '?')} of {measured.get('dataset', 'a data set not known')}{left_out}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items() if value is not None)


def _table(rows: list[tuple[str, Any]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
