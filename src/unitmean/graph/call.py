"""One operator of a graph, as its relation sees it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor, fx

from unitmean.graph.ids import constants
from unitmean.graph.trace import operator, path
from unitmean.graph.variables import ONE, Variables


@dataclass(frozen=True)
class Absorption:
    """A stored tensor takes up factors: `tensor * factor[multiply] / factor[divide]`, ids broadcast to it."""

    name: str
    multiply: Int64[Tensor, "..."]
    divide: Int64[Tensor, "..."]


@dataclass(frozen=True)
class Obstacle:
    """An operator that kept free channels from being rescaled: which, in which module, why, how many."""

    operator: str
    path: str
    reason: str
    channels: int


@dataclass
class Call:
    """An operator's arguments by name: ids for tensors, names for parameters, plain values for the rest."""

    node: fx.Node
    variables: Variables
    ids_of: Callable[[fx.Node], Any]
    absorptions: list[Absorption] = field(default_factory=list)
    obstacles: list[Obstacle] = field(default_factory=list)

    @cached_property
    def name(self) -> str:
        return operator(self.node) or getattr(self.node.target, "__name__", str(self.node.target))

    @cached_property
    def _arguments(self) -> dict[str, Any]:
        schema = getattr(self.node.target, "_schema", None)
        if schema is None:
            return {str(i): value for i, value in enumerate(self.node.args)}
        bound = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
        bound |= {a.name: value for a, value in zip(schema.arguments, self.node.args, strict=False)}
        return bound | dict(self.node.kwargs)

    @cached_property
    def first(self) -> str:
        """The name of the first argument."""
        schema = getattr(self.node.target, "_schema", None)
        return schema.arguments[0].name if schema is not None else "0"

    def has(self, name: str) -> bool:
        return self._arguments.get(name) is not None

    def value(self, name: str) -> Any:
        return self._arguments.get(name)

    def ids(self, name: str) -> Int64[Tensor, "..."]:
        """The ids of a tensor argument, in the tensor's shape."""
        value: Tensor = self.ids_of(self._arguments[name])
        return value

    def shape(self, name: str) -> torch.Size:
        """The shape of a tensor argument."""
        return self.ids(name).shape

    def parameter(self, name: str) -> str | None:
        """The state-dict name of an argument that is a stored tensor."""
        node = self._arguments.get(name)
        return str(node.target) if isinstance(node, fx.Node) and node.op == "get_attr" else None

    def absorb(
        self, name: str, *, multiply: Int64[Tensor, "..."] | None = None, divide: Int64[Tensor, "..."]
    ) -> None:
        """Let the stored tensor take up factors."""
        if multiply is None:
            multiply = torch.full_like(divide, ONE)
        self.absorptions.append(Absorption(name, multiply, divide))

    def pin(self, ids: Int64[Tensor, "..."], because: str) -> None:
        """Pin ids, which is an obstacle where they were free."""
        self._obstructed(self.variables.pin(ids, because), because)

    def merge(self, a: Int64[Tensor, "..."], b: Int64[Tensor, "..."], because: str) -> None:
        """Merge ids, which is an obstacle where that pins some."""
        self._obstructed(self.variables.merge(a, b, because), because)

    def _obstructed(self, channels: int, because: str) -> None:
        if channels:
            self.obstacles.append(Obstacle(self.name, path(self.node), because, channels))

    def ones(self, output: int = 0) -> Int64[Tensor, "..."]:
        """Ids of an output with the factor one."""
        value = self.node.meta["val"]
        return constants((value[output] if isinstance(value, tuple | list) else value).shape)

    def run(self) -> Any:
        """The operator itself, on ids."""
        args, kwargs = fx.node.map_arg((self.node.args, self.node.kwargs), self.ids_of)
        # Ids are stored compactly, and only reshape accepts every stride.
        target: Any = torch.reshape if self.name == "view" else self.node.target
        return target(*args, **kwargs)
