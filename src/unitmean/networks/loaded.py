"""A network with its preprocessing: RGB in [0, 1] in, activations by the paper's names out."""

from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from unitmean.errors import NetworkError
from unitmean.networks.architectures import Network

OUTPUT = "output"


class _Enough(Exception):
    """Stops a forward pass once all requested activations are there."""


class Loaded(nn.Module):
    """A network behind its own preprocessing; weights take no gradient, pictures do.

    `names` are the rectifiers that can be asked for, by the paper's names (`relu3_1`) or module paths.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network.module
        self.input = network.input
        self.architecture = network.name
        self._paths = {
            network.layers.get(path, path): path
            for path, module in network.module.named_modules()
            if isinstance(module, nn.ReLU)
        }
        self.eval()

    @property
    def names(self) -> list[str]:
        """The rectifiers, in the network's order."""
        return list(self._paths)

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Tensor:
        """The network's output: logits, or the last feature map where there is no head."""
        output: Tensor = self.network(self.input.apply(image))
        return output

    def activations(self, image: Float[Tensor, "n 3 h w"], layers: Sequence[str]) -> dict[str, Tensor]:
        """The activations of the named layers, in this order; "output" names the network's output.

        The forward pass stops at the last layer that is needed.

        A rectifier used twice shows its first use. Raises NetworkError for a name that isn't in `names`.
        """
        if missing := [layer for layer in layers if layer not in self._paths and layer != OUTPUT]:
            raise NetworkError(
                f"layers must be rectifiers of {self.architecture}: {', '.join(self._paths)}; "
                f"found {missing!r}: choose from these"
            )
        wanted = [layer for layer in dict.fromkeys(layers) if layer != OUTPUT]
        found: dict[str, Tensor] = {}

        def keep(layer: str) -> Callable[..., None]:
            def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
                found.setdefault(layer, output)
                if len(found) == len(wanted) and OUTPUT not in layers:
                    raise _Enough

            return hook

        handles = [
            self.network.get_submodule(self._paths[layer]).register_forward_hook(keep(layer))
            for layer in wanted
        ]
        try:
            found_output = self.forward(image)
        except _Enough:
            return {layer: found[layer] for layer in wanted}
        finally:
            for handle in handles:
                handle.remove()
        return {layer: found_output if layer == OUTPUT else found[layer] for layer in dict.fromkeys(layers)}
