"""What a network as it was measured has otherwise than the network that another program builds."""

from collections.abc import Iterator

from torch import nn

from unitmean.networks.architectures import Network, last_layer
from unitmean.networks.own import own
from unitmean.networks.skeleton import skeleton

USUAL = 1000  # classes, ImageNet's: what programs build unless told otherwise
REFLECTED = """\
    for part in {network}.modules():  # reflection padding, as measured
        if isinstance(part, torch.nn.Conv2d):
            part.padding_mode = "reflect\""""
AVERAGED = """\
    for path, part in list({network}.named_modules()):  # average pooling, as measured
        if isinstance(part, torch.nn.MaxPool2d):
            size = part.kernel_size, part.stride, part.padding, part.ceil_mode
            {network}.set_submodule(path, torch.nn.AvgPool2d(*size, count_include_pad=False))"""


def averaged(network: Network) -> bool:
    """Whether average pooling stands where the architecture has max pooling."""
    return any(
        isinstance(part, nn.AvgPool2d) and isinstance(usual, nn.MaxPool2d) for part, usual in _pairs(network)
    )


def reflected(network: Network) -> bool:
    """Whether convolutions pad by reflection where the architecture doesn't by itself."""
    return any(
        isinstance(part, nn.Conv2d) and part.padding_mode == "reflect" != getattr(usual, "padding_mode", None)
        for part, usual in _pairs(network)
    )


def _pairs(network: Network) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Each part of the network as it was measured, and that of the architecture."""
    usual = dict(skeleton(network.architecture).named_modules())
    for path, part in network.module.named_modules():
        if path in usual:
            yield part, usual[path]


def classes(network: Network) -> int | None:
    """The number of the classes of torchvision's head; None without one."""
    if network.truncated or own(network.architecture):
        return None
    return len(network.module.state_dict()[f"{last_layer(network.module)}.weight"])


def changes(network: Network, called: str) -> list[str]:
    """Python, indented, that makes torch modules called `called` pool and pad as those measured."""
    found = [AVERAGED] * averaged(network) + [REFLECTED] * reflected(network)
    return [code.format(network=called) for code in found]
