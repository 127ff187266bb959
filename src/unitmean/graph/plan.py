"""What may be rescaled in a network, and how."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float64, Int64, Shaped
from torch import Tensor

from unitmean.errors import WeightsError
from unitmean.graph.absorb import Absorption
from unitmean.graph.call import Obstacle
from unitmean.graph.variables import ONE

OUTPUT = "it is the network's output"
"""Why channels that leave the network are pinned."""


@dataclass(frozen=True)
class Site:
    """One rectifier: its path, the shape of the activation's channels, their variables.

    `shape` is the activation's, but with size one along images and positions, as 1 x 64 x 1 x 1. Channels
    that several dimensions hold, as heads and the numbers of each do, count in the order of the shape.
    `reasons` says of each channel why it is pinned, or None.
    """

    name: str
    shape: tuple[int, ...]
    variables: Int64[Tensor, " channels"]
    reasons: tuple[str | None, ...]

    @property
    def channels(self) -> int:
        return len(self.variables)

    @property
    def dims(self) -> tuple[int, ...]:
        """The dimensions that hold channels: the second for a single one; none of a number an image."""
        found = tuple(d for d, size in enumerate(self.shape) if size > 1)
        return found or ((1,) if len(self.shape) > 1 else ())

    def along(self, values: Shaped[Tensor, " channels"]) -> Shaped[Tensor, "..."]:
        """A value for each channel, in the shape that broadcasts against the activation."""
        return values.reshape(self.shape)


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
            WeightsError: the state lacks a tensor that takes up factors, or has it in another shape.
        """
        if (
            not isinstance(factors, Tensor)
            or len(factors) != self.variables
            or not (factors.isfinite() & (factors > 0)).all()
            or factors[ONE] != 1
        ):
            found = repr(factors) if isinstance(factors, Tensor) else f"one {type(factors).__name__}"
            raise ValueError(
                f"factors must be {self.variables} positive finite numbers, the first 1; got {found}"
            )
        state = self.state() if state is None else state
        for a in self.absorptions:
            if a.name not in state or not a.fits(state[a.name]):
                found = f"the shape {tuple(state[a.name].shape)}" if a.name in state else "none"
                raise WeightsError(
                    f"weights must be those of the network that was analysed; found {found} of {a.name!r}: "
                    "give that network's state dict"
                )
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
