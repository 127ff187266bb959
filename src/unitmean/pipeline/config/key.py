"""A key of the schema: its default, what it means and the numbers that it takes."""

from dataclasses import dataclass, field
from math import inf
from typing import Any


@dataclass(frozen=True)
class Range:
    """A closed interval of finite numbers."""

    low: int | float
    high: int | float = inf

    def __contains__(self, value: int | float) -> bool:
        return self.low <= value <= self.high and value < inf

    def __str__(self) -> str:
        return f"at least {self.low:g}" + ("" if self.high == inf else f" and at most {self.high:g}")


def key(
    default: Any,
    help: str = "",
    *,
    least: int | float | None = None,
    most: int | float = inf,
    needs: dict[str, Any] | None = None,
) -> Any:
    """A dataclass field; `help` and, with `least`, the range of its numbers are its metadata.

    `needs`: keys of the same section, and their values, without which nothing reads this one; None for any
    value but null.
    """
    metadata = {"help": help, "range": None if least is None else Range(least, most), "needs": needs or {}}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)
