"""The refusal of a network that can be normalised only in part."""

from collections import Counter
from collections.abc import Mapping

from unitmean.errors import NetworkError
from unitmean.graph.plan import Plan
from unitmean.graph.variables import ONE


def require_rectifier(plan: Plan) -> None:
    """NetworkError where there is nothing to normalise."""
    if not plan.sites:
        others = ", ".join(dict.fromkeys(obstacle.operator for obstacle in plan.obstacles))
        raise NetworkError(
            "a network must have a rectifier (ReLU, leaky or parametric) to be normalised; found none"
            + (f", but {others}" if others else "")
            + ": choose another network"
        )


def require_whole(plan: Plan, switch: str, names: Mapping[str, str] | None = None) -> None:
    """NetworkError unless every rectifier's channels are free or the network's output.

    An operator that no factor passes (relu6, silu, layer norm) is an obstacle even where it is itself the
    network's nonlinearity. `switch` is what allows such a network, `names` what its sites are called.
    """
    if plan.obstacles:
        first = plan.obstacles[0]
        where = f" in {first.path}" if first.path else ""
        raise NetworkError(
            f"a network must be normalised as a whole; {first.operator}{where} forbids it: {first.reason}. "
            f"{len(plan.obstacles)} operators do:\n{table(plan, names or {})}\n"
            f"{switch} normalises what is free"
        )


def table(plan: Plan, names: Mapping[str, str]) -> str:
    """What is free and what forbids the rest, for people."""
    operators = Counter(obstacle.operator for obstacle in plan.obstacles)
    lines = [f"  {operator:<24} {count:>6} times" for operator, count in operators.most_common()]
    free, pinned = [], []
    for site in plan.sites:
        count = int((site.variables != ONE).sum())
        if count < site.channels:
            reason = next(reason for reason in site.reasons if reason)
            pinned.append(
                f"  {names.get(site.name, site.name):<24} {count} of {site.channels} channels free: {reason}"
            )
        else:
            free.append(site)
    if len(pinned) > 12:
        pinned = [*pinned[:12], f"  and {len(pinned) - 12} more rectifiers"]
    share = f"  {len(free)} of {len(plan.sites)} rectifiers are free as a whole"
    return "\n".join([*lines, *pinned, share])
