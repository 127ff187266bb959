"""What may be rescaled in a network, and how."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float64, Int64, Shaped
from torch import Tensor

from unitmean.graph.absorb import Absorption
from unitmean.graph.call import Obstacle
from unitmean.graph.variables import ONE

OUTPUT = "it is the network's output"
"""Why channels that leave the network are pinned."""


@dataclass(frozen=True)
class Site:
    """One rectifier: its path, which of the activation's `ndim` dimensions holds channels, their variables.

    `reasons` says of each channel why it is pinned, or None.
    """

    name: str
    dim: int
    ndim: int
    variables: Int64[Tensor, " channels"]
    reasons: tuple[str | None, ...]

    @property
    def channels(self) -> int:
        return len(self.variables)

    def along(self, values: Shaped[Tensor, " channels"]) -> Shaped[Tensor, "..."]:
        """A value for each channel, in the shape that broadcasts against the activation."""
        return values.reshape([-1 if d == self.dim else 1 for d in range(self.ndim)])


@dataclass(frozen=True)
class Plan:
    """The variables of a network, where they are seen (sites) and what takes them up (absorptions).

    Variable 0 is one; every other may have any positive factor, and the network with
    `W * factor[multiply] / factor[divide]` in place of each absorbing tensor W has the old
    activations divided by their factors. Its output is the same, or where outputs were left free, divided by
    its factors. `output_names` says where each of `outputs` lies in what the network returns. `state` returns
    the analysed module's tensors. `obstacles` are the operators that pinned free channels, in order of
    execution; the network's outputs and gates don't count. `unreached` are stored tensors that the traced
    graph doesn't read; they stay as they are.
    """

    variables: int
    sites: tuple[Site, ...]
    absorptions: tuple[Absorption, ...]
    outputs: tuple[Int64[Tensor, "..."], ...]
    output_names: tuple[str, ...] = ()
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    state: Callable[[], Mapping[str, Tensor]] = field(default=dict, repr=False, compare=False)
    obstacles: tuple[Obstacle, ...] = ()
    unreached: tuple[str, ...] = ()

    @property
    def free(self) -> Bool[Tensor, " variables"]:
        """Which variables may be chosen."""
        return torch.arange(self.variables) != ONE

    def rescale(
        self,
        factors: Float64[Tensor, " variables"],
        state: Mapping[str, Tensor] | None = None,
        *,
        dtype: torch.dtype | None = None,
    ) -> dict[str, Tensor]:
        """A new state dict whose activations are the old ones divided by `factors`.

        state: the weights to rescale, by default the analysed module's present ones; they are left alone.
        The result is computed in float64 and cast once, to `dtype` or to each tensor's own type.

        Raises:
            ValueError: a factor is not positive and finite, or variable 0 has another factor than one.
        """
        if (
            len(factors) != self.variables
            or not (factors.isfinite() & (factors > 0)).all()
            or factors[ONE] != 1
        ):
            raise ValueError(
                f"factors must be {self.variables} positive finite numbers, the first 1; got {factors!r}"
            )
        state = self.state() if state is None else state
        new = OrderedDict(
            (name, tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor)
            for name, tensor in state.items()
        )
        if hasattr(state, "_metadata"):  # load_state_dict of some modules asks for its version
            new._metadata = state._metadata  # type: ignore[attr-defined]
        for a in self.absorptions:
            tensor = state[a.name].double() * factors[a.multiply].to(state[a.name].device)
            tensor = tensor.div_(factors[a.divide].to(tensor.device)).to(dtype or state[a.name].dtype)
            for name in self.aliases.get(a.name, (a.name,)):
                new[name] = tensor
        return new
