"""torchvision's keys, of which github.com/ProGamerGov/neural-style-pt wants the classifier's too."""

import re

from unitmean.layouts.kinds import torchvision
from unitmean.layouts.layout import Layout, input_in_words
from unitmean.layouts.measured import USUAL, averaged, classes, reflected
from unitmean.networks.architectures import Network
from unitmean.networks.inputs import CAFFE

ARCHITECTURES = "vgg16|vgg19"
HOW = """\
    python neural_style.py -model_file {file} -pooling {pooling} …

neural-style-pt tells the network by the whole path given to `-model_file`: it must hold "vgg" and \
"{depth}", and nowhere "sod", "pruning" or "fcn32s"{other}. Loss weights tuned for \
the plain network don't fit."""


def misfit(network: Network) -> str | None:
    count, padding = classes(network), "reflection" if reflected(network) else "zero"
    fits = re.fullmatch(ARCHITECTURES, network.architecture) and count == USUAL and network.input == CAFFE
    if fits and padding == "zero":
        return None
    has = "no head" if count is None else f"a head of {count} classes"
    return (
        f"it takes vgg16 and vgg19 with a head of {USUAL} classes, zero padding and Caffe's input (BGR in "
        f"0..255 less the mean); found {network.name} with {has}, {padding} padding and the input "
        f"{input_in_words(network)}"
    )


def how(file: str, network: Network, size: int) -> str:
    other = ', nor "19"' if network.architecture == "vgg16" else ""
    pooling = "avg" if averaged(network) else "max"
    return HOW.format(file=file, pooling=pooling, depth=network.architecture[3:5], other=other)


LAYOUT = Layout(
    "neural_style_pt",
    architectures=ARCHITECTURES,
    fits="vgg16, vgg19 with a head of 1000 classes, zero padding, Caffe's input",
    program="neural-style-pt",
    misfit=misfit,
    write=torchvision.write,
    how=how,
)
