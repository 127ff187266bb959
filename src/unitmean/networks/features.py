"""A network as a function from pictures to the activations of its layers."""

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor

from unitmean.errors import NetworkError
from unitmean.graph.observe import observe
from unitmean.networks.architectures import Network
from unitmean.networks.transfer_layers import rectifier_paths


def features(
    network: Network, example: Float[Tensor, "n 3 h w"], layers: Sequence[str]
) -> Callable[[Float[Tensor, "n 3 h w"]], dict[str, Tensor]]:
    """A differentiable function from pictures in [0, 1] to the layers' activations, by the paper's names.

    The network is traced once for each size of picture; `example` gives the first.

    Raises NetworkError for a layer that isn't one of the network's rectifiers.
    """
    paths = {name: path for name, (path, _) in rectifier_paths(network, example).items()}
    missing = [layer for layer in layers if layer not in paths]
    if missing:
        raise NetworkError(
            f"transfer needs layers that {network.name} has; found {', '.join(map(repr, missing))}, it has "
            f"{', '.join(paths)}: choose the content layer and the style layers from these"
        )
    names = {paths[layer]: layer for layer in layers}
    traced = {example.shape[2:]: observe(network.module, network.input.apply(example), list(names))}

    def by_name(picture: Float[Tensor, "n 3 h w"]) -> dict[str, Tensor]:
        pixels = network.input.apply(picture)
        if picture.shape[2:] not in traced:
            traced[picture.shape[2:]] = observe(network.module, pixels.detach(), list(names))
        found = traced[picture.shape[2:]](pixels)
        return {name: found[path] for path, name in names.items()}

    return by_name
