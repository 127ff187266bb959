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
    """One rectifier: its path, which of its `ndim` dimensions holds channels, and each channel's variable.

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
    activations divided by their factors, and so the same output (where it is free: divided by its factor).
    `output_names` says where each of `outputs` lies in what the network returns. `state` gives the analysed
    module's tensors. `obstacles` are the operators that forbade more, in order; outputs and gates are none.
    `unreached` are stored tensors that no traced path reads and that stay.
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

        Of the analysed module as it is now, or of `state`, other weights for it. Computed in float64 and cast
        once, to `dtype` or each tensor's own. The old state is left alone.

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
