"""The refusal of a network that can be normalised only in part."""

from collections.abc import Container, Mapping

from unitmean.errors import NetworkError
from unitmean.graph.plan import OUTPUT, Plan, Site
from unitmean.graph.variables import ONE

SHOWN = 12  # rectifiers that a refusal lists


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

    Pinned channels elsewhere don't matter. For the message: `switch` is the setting that allows such a
    network, `names` are the names to show for sites.
    """
    names = names or {}
    held = [(site, reason) for site in plan.sites if (reason := _held(site))]
    if held:
        site, reason = held[0]
        raise NetworkError(
            f"every channel of every rectifier must be free; {_count(site, names)}, because {reason}. "
            f"{len(held)} of {len(plan.sites)} rectifiers are held:\n{table(plan, names)}\n"
            f"{switch} normalises what is free"
        )


def only_outputs(plan: Plan) -> str:
    """A note on a network whose rectifiers' channels are all preserved outputs; "" for other networks."""
    if any((site.variables != ONE).any() or _held(site) for site in plan.sites):
        return ""
    return (
        "nothing is normalised: all rectifiers' channels leave as the network's output, which is preserved; "
        'outputs="normalise" divides them too'
    )


def unreached(plan: Plan, parameters: Container[str]) -> str:
    """A note on parameters that the network doesn't use as it was called; "" where there are none."""
    found = [name for name in plan.unreached if name in parameters]
    if not found:
        return ""
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return (
        f"not used for such a batch, and left as they were: {', '.join(found[:SHOWN])}{more}; where "
        "the forward method uses them, as for another shape or argument, it computes something else with the "
        "new weights"
    )


def table(plan: Plan, names: Mapping[str, str]) -> str:
    """Which rectifiers aren't free as a whole, and why, for people."""
    part = [site for site in plan.sites if any(site.reasons)]
    lines = [f"  {_count(site, names)}: {next(filter(None, site.reasons))}" for site in part]
    if len(lines) > SHOWN:
        lines = [*lines[:SHOWN], f"  and {len(lines) - SHOWN} more rectifiers"]
    free = len(plan.sites) - len(part)
    return "\n".join([*lines, f"  {free} of {len(plan.sites)} rectifiers are free as a whole"])


def _held(site: Site) -> str | None:
    """Why the first of the rectifier's channels is pinned that doesn't leave the network as its output."""
    return next((reason for reason in site.reasons if reason and not reason.endswith(OUTPUT)), None)


def _count(site: Site, names: Mapping[str, str]) -> str:
    free = int((site.variables != ONE).sum())
    return f"{names.get(site.name, site.name)} has {free} of {site.channels} channels free"
