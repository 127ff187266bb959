"""The rectifiers that style transfer uses where the settings name none."""

from jaxtyping import Float
from torch import Size, Tensor

from unitmean.errors import NetworkError
from unitmean.graph.rectifiers import rectifiers
from unitmean.graph.trace import trace
from unitmean.networks.architectures import Network

STYLES = 5


def rectifier_paths(network: Network, example: Float[Tensor, "n 3 h w"]) -> dict[str, tuple[str, Size]]:
    """Path and activation's shape of every rectifier, by name, in order of execution."""
    graph = trace(network.module, network.input.apply(example)).graph
    return {network.layer(path): (path, node.meta["val"].shape) for path, node in rectifiers(graph).items()}


def transfer_layers(network: Network, example: Float[Tensor, "n 3 h w"]) -> tuple[str, list[str]]:
    """The content layer and the style layers: the paper's in VGG, their counterparts in other networks.

    Style: the first rectifier at each of the first five resolutions (relu1_1 … relu5_1 in VGG). Content: the
    second at the fourth (relu4_2), or the last style layer of a network that has no fourth.

    Raises:
        NetworkError: no rectifier sees positions.
    """
    by_size: dict[tuple[int, ...], list[str]] = {}
    for name, (_, shape) in rectifier_paths(network, example).items():
        if len(shape) == 4:
            by_size.setdefault(tuple(shape[2:]), []).append(name)
    if not by_size:
        raise NetworkError(
            f"style transfer needs rectifiers behind convolutions; found none in {network.name}: "
            "choose another model.name"
        )
    resolutions = list(by_size.values())
    styles = [names[0] for names in resolutions[:STYLES]]
    content = resolutions[3][:2][-1] if len(resolutions) > 3 else styles[-1]
    return content, styles
