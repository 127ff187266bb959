"""The proof that a rescaled file computes the old function and has the means it should have."""

from collections.abc import Iterable, Iterator, Mapping

import pandas as pd
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from unitmean.graph.observe import OUTPUT, Observer, observe_inputs
from unitmean.graph.plan import Plan
from unitmean.graph.reload import reloaded
from unitmean.graph.traced import Traced
from unitmean.layouts.networks import Stored
from unitmean.networks.architectures import Network
from unitmean.pipeline.proof.remeasure import live, off
from unitmean.pipeline.proof.tolerances import Tolerances
from unitmean.proof.algebra import Discrepancy
from unitmean.proof.behaviour import Behaviour
from unitmean.proof.invariance import Comparison, compare
from unitmean.proof.networks import Networks, State, observed

Inputs = Iterable[Float[Tensor, "_ 3 _ _"]]


class Pair:
    """The original and the rescaled network, in float64 and float32, compared at each rectifier's input."""

    def __init__(
        self,
        original: Stored,
        rescaled: Stored,
        plan: Plan,
        factors: Float64[Tensor, " _"],
        device: str = "cpu",
    ) -> None:
        self._network, self._sites, self._device = original.network, plan.sites, device
        exact = plan.rescale(factors, original.state, dtype=torch.float64)
        self._states = (original.state, exact, plan.rescale(factors, original.state), rescaled.state)
        undo = {site.name: site.along(factors[site.variables]) for site in plan.sites}
        undo[OUTPUT] = factors[plan.outputs[0]]
        self._undo = {place: factor.to(device) for place, factor in undo.items()}
        self._networks: dict[int, Networks] = {}

    def compare(self, inputs: Inputs, size: int) -> Comparison:
        """Compare the networks on inputs of height and width `size`."""
        if size not in self._networks:  # building them takes seconds; all kinds of input share them
            self._networks.clear()  # frees their memory first
            traced: dict[torch.dtype, Traced] = {}
            self._networks[size] = observed(
                lambda state, dtype: self._observer(state, dtype, size, traced), *self._states, known=True
            )
        shown = (_last(x.to(self._device)) for x in inputs)
        return compare(self._networks[size], self._undo, shown, self._sites)

    def _observer(
        self, state: State, dtype: torch.dtype, size: int, traced: dict[torch.dtype, Traced]
    ) -> Observer:
        """The observer in the memory layout that means are measured in, as others use other algorithms."""
        state = {name: _last(tensor.to(self._device)) for name, tensor in state.items()}
        if dtype not in traced:
            example = self._network.noise(size).to(self._device, dtype)
            traced[dtype] = observe_inputs(reloaded(self._network.module, state), example, list(self._undo))
        return traced[dtype].carrying(state)


def _last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def layer_table(comparisons: Mapping[str, Comparison], network: Network) -> pd.DataFrame:
    """A row for each kind of input and place: input, site and the three relative differences."""
    return pd.DataFrame(
        {
            "input": kind,
            "site": network.layer(place),
            "float64": found.float64,
            "float32": found.float32,
            "float32_error": found.float32_error,
        }
        for kind, comparison in comparisons.items()
        for place, found in comparison.deviations.items()
    )


def worst_by_layer(table: pd.DataFrame) -> pd.DataFrame:
    """A row a place: the largest of each difference over all kinds of input."""
    columns = ["float64", "float32", "float32_error"]
    return table.groupby("site", sort=False)[columns].max().reset_index()


def failures(
    wrong: list[Discrepancy],
    comparisons: Mapping[str, Comparison],
    behaviour: Behaviour | None,
    means: pd.DataFrame,
    network: Network,
    tolerances: Tolerances,
    rounding: str,
) -> Iterator[str]:
    """A sentence for each property that doesn't hold, with what was found and where."""
    for found in wrong:
        path, _, _ = found.tensor.rpartition(".")
        layer = f" ({network.layer(path)})" if network.layer(path) != path else ""
        ulps = f", by up to {found.ulps:.3g} units in the last place" if found.ulps < torch.inf else ""
        yield f"algebra: {found.tensor}{layer} {found.why}{ulps}"
    for kind, comparison in comparisons.items():
        for place, deviation in comparison.deviations.items():
            where = f"{network.layer(place)}, {kind} input"
            # `not <=` also catches NaN
            if not deviation.float64 <= tolerances.max_float64_difference:
                yield (
                    f"float64 must differ by at most {tolerances.max_float64_difference:g} at {where}; "
                    f"found {deviation.float64:.3g}"
                )
            if not deviation.float32 <= tolerances.max_float32_ratio * deviation.float32_error:
                yield (
                    f"float32 must differ by at most {tolerances.max_float32_ratio:g} times its own error of "
                    f"{deviation.float32_error:.3g} at {where}; found {deviation.float32:.3g}"
                )
    if rounding == "pow2" and not all(c.bit_identical for c in comparisons.values()):
        yield "with powers of two as factors the float32 outputs must be equal bit for bit; they are not"
    if behaviour is not None and not behaviour.decided >= tolerances.min_top1_agreement * behaviour.images:
        yield (
            f"top-1 must agree on {tolerances.min_top1_agreement:.0%} of the images; found "
            f"{behaviour.decided / behaviour.images:.1%} at the output"
        )
    rows = live(means)
    wrong_means = rows[~(off(means) <= rows["allowed"])]  # `not <=` also catches NaN
    if len(wrong_means):
        by = (off(wrong_means) / wrong_means["allowed"]).fillna(torch.inf)
        worst = wrong_means.iloc[int(by.argmax())]
        others = f", and of {len(wrong_means) - 1:,} more channels" if len(wrong_means) > 1 else ""
        yield (
            f"the mean of channel {worst['channel']} of {worst['site']} must be {worst['target']:.6g} within "
            f"{worst['allowed']:.2g} of it; found {worst['mean_after']:.6g}{others}"
        )
