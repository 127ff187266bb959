"""A network with its preprocessing: RGB in [0, 1] in, activations by the paper's names out."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitmean.errors import NetworkError
from unitmean.graph.reload import reloaded
from unitmean.networks.architectures import Network
from unitmean.networks.inputs import require_images

OUTPUT = "output"
SIDE = 224  # pixels of the picture with which the uses of rectifiers are counted


class _Enough(Exception):
    """Stops a forward pass once all requested activations are there."""


class Loaded(nn.Module):
    """A network behind its own preprocessing; weights take no gradient, pictures do.

    `names` are the rectifiers that can be asked for, by the paper's names (`relu3_1`) or module paths; the
    second use of one is `layer1.0.relu#2`.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network.module
        self.input = network.input
        self.architecture = network.name
        self._layers = network.layers
        self.eval()

    @property
    def names(self) -> list[str]:
        """The rectifiers, in the order of execution."""
        return list(self._uses)

    @cached_property
    def _uses(self) -> dict[str, tuple[str, int]]:
        """By name: the path of a rectifier, and which of its uses it is, from one up."""
        rectifiers = [path for path, part in self.network.named_modules() if isinstance(part, nn.ReLU)]
        found = {}
        for path, use in _calls(self.network, rectifiers) or [(path, 1) for path in rectifiers]:
            name = self._layers.get(path, path)
            found[name if use == 1 else f"{name}#{use}"] = (path, use)
        return found

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Tensor:
        """The network's output: logits, or the last feature map where there is no head.

        Raises DataError for what isn't such a tensor, as whole numbers of 0..255.
        """
        own = next((parameter.dtype for parameter in self.network.parameters()), image.dtype)
        require_images(image, own)
        output: Tensor = self.network(self.input.apply(image))
        return output

    def activations(self, image: Float[Tensor, "n 3 h w"], layers: Sequence[str]) -> dict[str, Tensor]:
        """The activations of the named layers, in this order; "output" names the network's output.

        The forward pass stops at the last layer that is needed.

        Raises NetworkError for a name that isn't in `names`, DataError as `forward` does.
        """
        if missing := [layer for layer in layers if layer not in self._uses and layer != OUTPUT]:
            raise NetworkError(
                f"layers must be rectifiers of {self.architecture}: {', '.join(self._uses)}; "
                f"found {missing!r}: choose from these"
            )
        wanted = [layer for layer in dict.fromkeys(layers) if layer != OUTPUT]
        found: dict[str, Tensor] = {}

        seen: Counter[str] = Counter()  # uses of each rectifier in this pass
        asked = {self._uses[layer]: layer for layer in wanted}

        def keep(path: str) -> Callable[..., None]:
            def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
                seen[path] += 1
                if (path, seen[path]) in asked:
                    found[asked[path, seen[path]]] = output
                if len(found) == len(wanted) and OUTPUT not in layers:
                    raise _Enough

            return hook

        handles = [
            self.network.get_submodule(path).register_forward_hook(keep(path))
            for path in {path for path, _ in asked}
        ]
        try:
            found_output = self.forward(image)
        except _Enough:
            return {layer: found[layer] for layer in wanted}
        finally:
            for handle in handles:
                handle.remove()
        return {layer: found_output if layer == OUTPUT else found[layer] for layer in dict.fromkeys(layers)}


def _calls(module: nn.Module, paths: Sequence[str]) -> list[tuple[str, int]]:
    """Each use of these parts, in the order of execution; none where no picture of 224 pixels can be shown.

    It is run without numbers.
    """
    found: list[tuple[str, int]] = []
    seen: Counter[str] = Counter()

    def note(path: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            seen[path] += 1
            found.append((path, seen[path]))

        return hook

    try:  # a network of another size, or one that looks at numbers or can't be copied, fails
        state = {name: value.to("meta") for name, value in module.state_dict().items()}
        empty = reloaded(module, state).to("meta")
        for part in empty.modules():
            part._forward_hooks.clear()  # the user's, for whom it is no call
        for path in paths:
            empty.get_submodule(path).register_forward_hook(note(path))
        with torch.no_grad():
            empty(torch.empty(1, 3, SIDE, SIDE, device="meta"))
    except Exception:
        return []
    return found
