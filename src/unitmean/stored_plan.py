"""Converts a plan and statistics to values that JSON can hold, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import Tensor

from unitmean.graph.absorb import Absorption
from unitmean.graph.call import Obstacle
from unitmean.graph.plan import Plan, Site
from unitmean.statistics.moments import Moments, Statistics


def plan_values(plan: Plan) -> dict[str, Any]:
    """The plan without the analysed module's tensors."""
    return {
        "variables": plan.variables,
        "sites": [
            [site.name, list(site.shape), site.variables.tolist(), list(site.reasons)] for site in plan.sites
        ],
        "absorptions": [[a.name, _ids(a.multiply), _ids(a.divide)] for a in plan.absorptions],
        "outputs": [_ids(ids) for ids in plan.outputs],
        "output_names": list(plan.output_names),
        "aliases": {name: list(others) for name, others in plan.aliases.items()},
        "obstacles": [list(asdict(obstacle).values()) for obstacle in plan.obstacles],
        "unreached": list(plan.unreached),
    }


def plan_of(values: Mapping[str, Any]) -> Plan:
    """The inverse of `plan_values`; the plan's `rescale` must be given a state dict."""
    return Plan(
        variables=values["variables"],
        sites=tuple(
            Site(name, tuple(shape), torch.tensor(variables, dtype=torch.int64), tuple(reasons))
            for name, shape, variables, reasons in values["sites"]
        ),
        absorptions=tuple(Absorption(name, _tensor(m), _tensor(d)) for name, m, d in values["absorptions"]),
        outputs=tuple(map(_tensor, values["outputs"])),
        output_names=tuple(values["output_names"]),
        aliases={name: tuple(others) for name, others in values["aliases"].items()},
        obstacles=tuple(Obstacle(*obstacle) for obstacle in values["obstacles"]),
        unreached=tuple(values["unreached"]),
    )


def statistics_values(statistics: Statistics) -> dict[str, list[Any]]:
    """The sums of every site, in the order of the fields of Moments."""
    return {site: [_plain(getattr(m, f.name)) for f in fields(Moments)] for site, m in statistics.items()}


def statistics_of(values: Mapping[str, Sequence[Any]]) -> Statistics:
    """The inverse of `statistics_values`."""
    found = {}
    for site, (images, *sums) in values.items():
        tensors = [torch.tensor(numbers, dtype=torch.float64) for numbers in sums]
        found[site] = Moments(images, *tensors)  # one for each field
    return found


def _plain(value: int | Tensor) -> Any:
    return value.tolist() if isinstance(value, Tensor) else value


def _ids(ids: Tensor) -> list[Any]:
    """The shape, the shape with size one where ids repeat (stride 0), and the numbers of that one."""
    small = ids[tuple(slice(1 if stride == 0 else None) for stride in ids.stride())]
    return [list(ids.shape), list(small.shape), small.flatten().tolist()]


def _tensor(values: Sequence[Any]) -> Tensor:
    shape, small, numbers = values
    return torch.tensor(numbers, dtype=torch.int64).reshape(small).expand(shape)
