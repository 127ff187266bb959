"""What `normalise` returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from unitmean.disk.atomic import write_text
from unitmean.errors import WeightsError
from unitmean.graph.plan import Plan
from unitmean.graph.variables import ONE
from unitmean.layouts.files import load_weights, save_weights
from unitmean.page import Range, page, ranges, table
from unitmean.statistics.moments import Statistics
from unitmean.stored_plan import plan_of, plan_values, statistics_of, statistics_values

SHOWN = 4  # operators that a line names
KIND = "result of unitmean.normalise"


@dataclass(frozen=True)
class Normalised:
    """New weights, the factors that made them (one for each variable of the plan), the plan and statistics.

    By site: `dead` lists the channels that are hardly ever active, or whose statistic is too small to be told
    from zero: they keep the factor one unless they share it with live channels. `negative` lists those whose
    mean is below zero, as a leaky rectifier allows: no factor makes it one, but with statistic="rms" they are
    normalised. `statistics` has each site's `Moments`, sums over images; the means are its `expectation()`.
    `made` has the network, the settings and the versions. A notebook shows a table and a picture;
    in both, dead channels don't count after.
    """

    state: dict[str, Tensor]
    factors: Float64[Tensor, " variables"]
    plan: Plan
    statistics: Statistics
    dead: dict[str, list[int]]
    negative: dict[str, list[int]]
    made: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tied(self) -> dict[str, list[int]]:
        """By site, the channels that share their factor with other channels."""
        channels = torch.cat([site.variables for site in self.plan.sites]).bincount()
        channels[ONE] = 0
        shared = {site.name: channels[site.variables] > 1 for site in self.plan.sites}
        return {name: found for name, mask in shared.items() if (found := mask.nonzero().flatten().tolist())}

    def save(self, path: str | Path) -> None:
        """Write the new weights as safetensors under their own names, with all the rest as metadata.

        `Normalised.load(path)` returns the result again, except that its plan doesn't hold the original
        weights; any reader of safetensors gets the state dict. Raises DiskError where it can't be written,
        WeightsError for a name such as x.pth, by which torch.load would be tried on it.
        """
        if Path(path).suffix in (".pt", ".pth", ".ckpt", ".bin"):
            raise WeightsError(
                f"a result is saved as safetensors, which torch.load doesn't read; found {str(path)!r}: let "
                "the name end in .safetensors, or torch.save(result.state, path)"
            )
        values = {
            "kind": KIND,
            "made": dict(self.made),
            "factors": self.factors.tolist(),
            "plan": plan_values(self.plan),
            "statistics": statistics_values(self.statistics),
            "dead": self.dead,
            "negative": self.negative,
        }
        save_weights(Path(path), self.state, values)

    @classmethod
    def load(cls, path: str | Path) -> "Normalised":
        """The result that `save` wrote. Raises WeightsError where the file holds none."""
        state, values = load_weights(Path(path))
        if values.get("kind") != KIND:
            raise WeightsError(
                f"{path} must hold what result.save wrote; found another file of this package: "
                "unitmean.load(path) gives its network"
            )
        try:
            return cls(
                state,
                torch.tensor(values["factors"], dtype=torch.float64),
                plan_of(values["plan"]),
                statistics_of(values["statistics"]),
                values["dead"],
                values["negative"],
                values["made"],
            )
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"{path} must hold what result.save wrote; found {type(error).__name__} {error} in its "
                "metadata; it was changed, or written by another version: save it again"
            ) from error

    def report(self, path: str | Path) -> None:
        """Write an HTML page with the network, the settings and each rectifier's channels."""
        made = [("what", "value"), *((k, str(v)) for k, v in self.made.items() if v is not None)]
        title = str(self.made.get("network") or self.made.get("class", "a network"))
        write_text(Path(path), page(f"{title}, normalised", table(made) + self._repr_html_()))

    def __repr__(self) -> str:
        images = next(iter(self.statistics.values())).images
        over = "one image" if images == 1 else f"{images:,} images"
        lines = [f"Normalised, {len(self.state)} tensors, over {over}", *_columns(self._rows())]
        return "\n".join([*lines, *filter(None, [self._left()])])

    def _repr_html_(self) -> str:
        label = "means of the channels that aren't dead: grey before, orange after"
        left = self._left()
        return (
            table(self._rows()) + ranges(*self._means(), label) + (f"<p>{escape(left)}</p>" if left else "")
        )

    def _left(self) -> str:
        """A line on channels that must keep the factor one; "" where there are none."""
        held = [f"{o.operator} in {o.path or 'the forward method'}" for o in self.plan.obstacles]
        shown = list(dict.fromkeys(held))
        if not shown:
            return ""
        channels = sum(obstacle.channels for obstacle in self.plan.obstacles)
        more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
        return f"{channels} channels keep their scale, for: {', '.join(shown[:SHOWN])}{more}"

    def _means(self) -> tuple[dict[str, Range], dict[str, Range]]:
        """By site, the least and the largest mean of the channels that aren't dead: before and after."""
        before: dict[str, Range] = {}
        after: dict[str, Range] = {}
        for site in self.plan.sites:
            mean = self.statistics[site.name].expectation()
            seen = mean > 0
            seen[self.dead.get(site.name, [])] = False
            if seen.any():
                new = mean / self.factors[site.variables]
                before[site.name] = (float(mean[seen].min()), float(mean[seen].max()))
                after[site.name] = (float(new[seen].min()), float(new[seen].max()))
        return before, after

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [
            (
                "rectifier",
                "channels",
                "free",
                "tied",
                "dead",
                "negative",
                "mean before",
                "mean after",
            )
        ]
        lists = (self.tied, self.dead, self.negative)
        after = self._means()[1]
        for site in self.plan.sites:
            mean = self.statistics[site.name].expectation()
            counted = [str(len(found.get(site.name, []))) for found in lists]
            free = str(int((site.variables != ONE).sum()))
            new = _range(*after[site.name]) if site.name in after else ""
            old = _range(float(mean.min()), float(mean.max()))
            rows.append((site.name, str(site.channels), free, *counted, old, new))
        return rows


def _range(least: float, largest: float) -> str:
    low, high = f"{least:.3g}", f"{largest:.3g}"
    return low if low == high else f"{low} to {high}"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
