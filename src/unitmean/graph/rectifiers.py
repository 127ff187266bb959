"""Where a graph rectifies, and what those places are called."""

from collections import Counter
from collections.abc import Callable
from math import inf
from typing import Any

from torch import fx

from unitmean.graph.nodes import operator, path
from unitmean.graph.stored import COPIES, is_zero


def rectifiers(graph: fx.Graph) -> dict[str, fx.Node]:
    """The rectifiers in order of execution, by the path of the module they stand in.

    A second rectifier under the same path, such as a ReLU module used again, gets the suffix "#2".
    """
    found: dict[str, fx.Node] = {}
    seen = Counter({path(node) or node.name: 1 for node in graph.nodes})
    for node in graph.nodes:
        spelling = _SPELLINGS.get(operator(node))
        if spelling and spelling(*node.args, **node.kwargs):
            own = name = path(node) or node.name
            while name in found:  # a module may have such a name itself
                seen[own] += 1
                name = f"{own}#{seen[own]}"
            found[name] = node
    return found


def _always(*_: Any, **__: Any) -> bool:
    return True


def _clamp(x: Any, min: Any = None, max: Any = None) -> bool:
    return is_zero(min) and max in (None, inf)


def _hardtanh(x: Any, min_val: Any = -1, max_val: Any = 1) -> bool:
    return is_zero(min_val) and max_val == inf


def _threshold(x: Any, threshold: Any, value: Any) -> bool:
    return is_zero(threshold) and is_zero(value)


def _maximum(x: Any, other: Any) -> bool:
    """max(x, 0), or max(x, 0.1 x)."""
    return any(
        is_zero(b) or (isinstance(a, fx.Node) and _fraction(b, a)) for a, b in ((x, other), (other, x))
    )


def _max(x: Any, other: Any = None, *_: Any, **__: Any) -> bool:
    return isinstance(other, fx.Node) and _maximum(x, other)


def _where(condition: Any, x: Any = None, other: Any = None) -> bool:
    """x where it is positive, else zero or a fraction of x."""
    if _positive(condition, x):
        return is_zero(other) or _fraction(other, x)
    return _negative(condition, other) and (is_zero(x) or _fraction(x, other))


def _mul(x: Any, other: Any) -> bool:
    """x * (x > 0)."""
    return _positive(other, x) or _positive(x, other)


def _masked_fill(x: Any, mask: Any, value: Any) -> bool:
    return is_zero(value) and _negative(mask, x)


def _positive(node: Any, x: Any) -> bool:
    return _compares(node, {"gt", "ge", "greater", "greater_equal"}, x)


def _negative(node: Any, x: Any) -> bool:
    return _compares(node, {"lt", "le", "less", "less_equal"}, x)


def _compares(node: Any, names: set[str], x: Any) -> bool:
    while _name(node) in COPIES:
        node = node.args[0]
    return _name(node) in names and node.args[0] is x and is_zero(node.args[1])


def _fraction(node: Any, x: fx.Node) -> bool:
    """x times a number below one."""
    if _name(node) not in {"mul", "multiply"} or x not in node.all_input_nodes:
        return False
    return any(isinstance(part, int | float) and 0 <= part < 1 for part in node.args)


def _name(node: Any) -> str:
    """The operator's name; "" for what isn't a node."""
    return operator(node) if isinstance(node, fx.Node) else ""


_SPELLINGS: dict[str, Callable[..., bool]] = {
    **dict.fromkeys(("relu", "leaky_relu", "prelu", "rrelu"), _always),
    **dict.fromkeys(("clamp", "clamp_min", "clip"), _clamp),
    "hardtanh": _hardtanh,
    "threshold": _threshold,
    **dict.fromkeys(("maximum", "fmax"), _maximum),
    "max": _max,
    "where": _where,
    **dict.fromkeys(("mul", "multiply"), _mul),
    "masked_fill": _masked_fill,
}
