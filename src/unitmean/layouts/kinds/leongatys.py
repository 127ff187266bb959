"""`conv1_1.weight` … `conv5_4.bias`: the network of github.com/leongatys/PytorchNeuralStyleTransfer."""

import re
from pathlib import Path

from torch import nn

from unitmean.layouts.layout import Canonical, Layout, State, convolutions, input_in_words, renamed, save
from unitmean.layouts.measured import REFLECTED, averaged, reflected
from unitmean.networks.architectures import Network
from unitmean.networks.inputs import CAFFE
from unitmean.networks.layers import module_paths

CONVOLUTIONS = 16
ARCHITECTURES = "vgg19"
HOW = """\
`VGG` is the class in the notebook of github.com/leongatys/PytorchNeuralStyleTransfer.

    vgg = VGG({pool}); vgg.load_state_dict(torch.load("{file}", weights_only=True))
{changes}
The notebook's `style_weights = [1e3/n**2 …]` correct the plain network: here use one weight for all layers, \
[1e9/5] * 5 with content_weights = [1e6] in the authors' own words."""


def read(state: State, architecture: str) -> Canonical | None:
    if not state or not all(re.fullmatch(r"(conv\d_\d|fc\d)\.(weight|bias)", key) for key in state):
        return None
    found = renamed(state, module_paths(architecture), architecture, "leongatys")
    return Canonical(found, "leongatys", CAFFE)  # no other network has these keys


def misfit(network: Network) -> str | None:
    count = sum(isinstance(module, nn.Conv2d) for module in network.module.modules())
    if network.architecture == ARCHITECTURES and count == CONVOLUTIONS and network.input == CAFFE:
        return None
    return (
        "it takes all convolutions of vgg19 with Caffe's input (BGR in 0..255 less the mean); "
        f"found {network.name} with {count} and the input {input_in_words(network)}"
    )


def write(path: Path, network: Network, state: State, size: int) -> None:
    """Write the convolutions alone, without a head."""
    names = network.layers
    found = {f"{names[p]}.{kind}": v for (p, kind), v in convolutions(state) if p in names}
    save(path, found)


def how(file: str, network: Network, size: int) -> str:
    pool = 'pool="avg"' if averaged(network) else ""
    changes = REFLECTED.format(network="vgg") + "\n" if reflected(network) else ""
    return HOW.format(file=file, pool=pool, changes=changes)


LAYOUT = Layout(
    "leongatys",
    architectures=ARCHITECTURES,
    keys="leongatys (conv1_1.weight)",
    read=read,
    fits="all convolutions of vgg19, Caffe's input",
    program="the authors' `VGG` for PyTorch",
    misfit=misfit,
    write=write,
    how=how,
)
