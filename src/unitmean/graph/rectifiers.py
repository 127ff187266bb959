"""Where a graph rectifies, and what those places are called."""

from collections import Counter

from torch import fx

from unitmean.graph.trace import operator, path

_ALWAYS = {"relu", "leaky_relu", "prelu", "rrelu"}


def rectifiers(graph: fx.Graph) -> dict[str, fx.Node]:
    """The rectifiers in order of execution, by the path of the module they stand in.

    A second rectifier under the same path, such as a ReLU module used again, gets the suffix "#2".
    """
    found: dict[str, fx.Node] = {}
    seen: Counter[str] = Counter()
    for node in graph.nodes:
        if operator(node) in _ALWAYS or _clamps_at_zero(node):
            name = path(node) or node.name
            seen[name] += 1
            found[name if seen[name] == 1 else f"{name}#{seen[name]}"] = node
    return found


def _clamps_at_zero(node: fx.Node) -> bool:
    if operator(node) not in {"clamp", "clamp_min"}:
        return False
    low = node.args[1] if len(node.args) > 1 else node.kwargs.get("min")
    high = node.args[2] if len(node.args) > 2 else node.kwargs.get("max")
    return bool(low == 0) and high is None
