"""torchvision's keys, of which github.com/ProGamerGov/neural-style-pt wants the classifier's too."""

from unitmean.layouts.kinds import torchvision
from unitmean.layouts.layout import Layout, input_in_words
from unitmean.networks.architectures import Network
from unitmean.networks.inputs import CAFFE

HOW = """\
    python neural_style.py -model_file {file} …

neural-style-pt tells the network by the whole path given to `-model_file`: it must hold "vgg" and \
"{depth}", and nowhere "sod", "pruning" or "fcn32s"{other}. Loss weights tuned for \
the plain network don't fit."""


def misfit(network: Network) -> str | None:
    if network.name in ("vgg16", "vgg19") and not network.truncated and network.input == CAFFE:
        return None
    has = "no head" if network.truncated else "a head"
    return (
        "it takes vgg16 and vgg19 with a head and Caffe's input (BGR in 0..255 less the mean); "
        f"found {network.name} with {has} and the input {input_in_words(network)}"
    )


def how(file: str, network: Network, size: int) -> str:
    other = ', nor "19"' if network.name == "vgg16" else ""
    return HOW.format(file=file, depth=network.name[3:5], other=other)


LAYOUT = Layout(
    "neural_style_pt",
    fits="vgg16, vgg19 with a head, Caffe's input",
    program="neural-style-pt",
    misfit=misfit,
    write=torchvision.write,
    how=how,
)
