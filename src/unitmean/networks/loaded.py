"""A network with its preprocessing: RGB in [0, 1] in, activations by the paper's names out."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitmean.errors import DataError, NetworkError
from unitmean.graph.observe import OUTPUT, observe
from unitmean.graph.traced import Traced
from unitmean.networks import hooked
from unitmean.networks.architectures import Network
from unitmean.networks.inputs import require_images
from unitmean.networks.own import own
from unitmean.networks.transfer_layers import rectifier_paths

KEPT = 8  # graphs, one for each size of picture and choice of layers


class Loaded(nn.Module):
    """A network behind its own preprocessing; weights take no gradient, pictures do.

    `names` are the rectifiers that can be asked for, by the paper's names (`relu3_1`) or module paths; the
    second use of one is `layer1.0.relu#2`.
    """

    def __init__(self, network: Network, side: int = hooked.SIDE) -> None:
        """side: pixels of a square picture that the network takes, with which its rectifiers are found."""
        super().__init__()
        self.network = network.module
        self.input = network.input
        self.architecture = network.name
        self._of, self._side = network, side
        self._graphs: dict[Hashable, Traced] = {}
        self.eval()

    @property
    def names(self) -> list[str]:
        """The rectifiers, in the order of execution."""
        return list(self._paths)

    @cached_property
    def _uses(self) -> dict[str, hooked.Use]:
        """The uses of ReLU modules, by name."""
        named = [(self._of.layers.get(use[0], use[0]), use) for use in hooked.uses(self.network)]
        return {name if use[1] == 1 else f"{name}#{use[1]}": use for name, use in named}

    @cached_property
    def _paths(self) -> dict[str, str]:
        """The graph's own name of each rectifier, by name; ReLU modules where there is no graph."""
        weight = next(self.network.parameters(), torch.empty(0))
        example = torch.rand(1, 3, self._side, self._side, device=weight.device, dtype=weight.dtype)
        try:
            return self._found(example)
        except NetworkError:
            return {name: path if use == 1 else f"{path}#{use}" for name, (path, use) in self._uses.items()}

    def _found(self, image: Tensor) -> dict[str, str]:
        """The graph's own name of each rectifier that a picture of this size meets, by name."""
        copy = hooked.unhooked(self.network, self.network.state_dict()).eval()
        paths = rectifier_paths(replace(self._of, module=copy), image)
        return {name: path for name, (path, _) in paths.items()}

    def by_hooks(self, layers: Sequence[str]) -> bool:
        """Whether hooks see all of these layers; they don't see functions that rectify.

        In the user's own code they are used only where they see every rectifier: else a module's name may be
        the one that the graph gave to a function.
        """
        if own(self._of.architecture) is not None and set(layers) != {OUTPUT}:
            return list(self._uses) == list(self._paths)
        return {OUTPUT, *self._uses}.issuperset(layers)

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Tensor:
        """The network's output: logits, or the last feature map where there is no head.

        Raises DataError for what isn't such a tensor, as whole numbers of 0..255.
        """
        self._require(image)
        output: Tensor = self.network(self.input.apply(image))
        return output

    def activations(self, image: Float[Tensor, "n 3 h w"], layers: Sequence[str]) -> dict[str, Tensor]:
        """The activations of the named layers, in this order; "output" names the network's output.

        The forward pass stops at the last layer that is needed. For layers that a function rectifies, such as
        F.relu, the network's graph runs, which takes a second or so to make for each size of picture.

        Raises NetworkError for a name that isn't in `names`, DataError as `forward` does.
        """
        if missing := [layer for layer in layers if layer not in self._paths and layer != OUTPUT]:
            raise NetworkError(
                f"layers must be rectifiers of {self.architecture}: {', '.join(self._paths)}; "
                f"found {missing!r}: choose from these"
            )
        wanted = list(dict.fromkeys(layers))
        if not self.by_hooks(wanted):
            self._require(image)
            if not len(image):
                raise DataError("a batch must hold a picture; found none: leave it out")
            found = self.graph(image, wanted)(self.input.apply(image))
            return {layer: found[self._paths.get(layer, layer)] for layer in wanted}
        asked = {self._uses[layer]: layer for layer in wanted if layer != OUTPUT}
        found, output = hooked.activations(
            self.network,
            lambda: self.forward(image),
            asked,
            whole=OUTPUT in wanted,
            copies=own(self._of.architecture) is not None,
        )
        if output is not None:
            found[OUTPUT] = output
        return {layer: found[layer] for layer in wanted}

    def graph(self, image: Float[Tensor, "n 3 h w"], layers: Sequence[str]) -> Traced:
        """The layers' activations as a function of the network's input, for pictures of this one's size.

        Raises NetworkError where such pictures meet other rectifiers than `names`.
        """
        key = (*layers, image.shape[2:], image.dtype, image.device, *self._parts())
        if key not in self._graphs:
            if (found := self._found(image.detach())) != self._paths:
                raise NetworkError(
                    f"pictures of {image.shape[2]} x {image.shape[3]} pixels must meet the rectifiers "
                    f"{', '.join(self._paths)}; found {', '.join(found)}: give the size of the measurement"
                )
            if len(self._graphs) == KEPT:
                del self._graphs[next(iter(self._graphs))]
            sites = [self._paths.get(layer, layer) for layer in layers]
            self._graphs[key] = observe(self.network, self.input.apply(image).detach(), sites)
        return self._graphs[key]

    def _parts(self) -> Iterator[Hashable]:
        """What a graph holds of the network: another one is made where a part, tensor or hook is another."""
        for name, part in self.network.named_modules():
            tensors = (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))
            yield name, id(part), *((key, id(tensor), tensor.data_ptr()) for key, tensor in tensors)
            yield tuple(part._forward_pre_hooks), tuple(part._forward_hooks), part.training

    def _require(self, image: Any) -> None:
        own = next((parameter.dtype for parameter in self.network.parameters()), image.dtype)
        require_images(image, own)

    def __getstate__(self) -> dict[str, Any]:
        """For copies, and pickle: graphs are made anew."""
        return self.__dict__ | {"_graphs": {}}
