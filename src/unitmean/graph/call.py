"""One operator of a graph, as its relation sees it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves

from unitmean.graph.absorb import Absorber, Absorption
from unitmean.graph.ids import compact, constants
from unitmean.graph.nodes import operator, path
from unitmean.graph.rearrange import rearranged
from unitmean.graph.stored import Stored, is_zero, value
from unitmean.graph.variables import ONE, Variables

Ids = Int64[Tensor, "..."]
Argument = str | fx.Node  # an argument's name in the operator's schema, or a node out of a list


@dataclass(frozen=True)
class Obstacle:
    """An operator that kept free channels from being rescaled: which, in which module, why, how many."""

    operator: str
    path: str
    reason: str
    channels: int


@dataclass
class Call:
    """An operator's arguments by name: ids for tensors, plain values for the rest.

    What a relation asks for is recorded; `overlooked` lists what it left out: arguments that it never named,
    and activations whose ids it never read.
    """

    node: fx.Node
    variables: Variables
    stored: Stored
    ids_of: Callable[[fx.Node], Any]
    absorptions: list[Absorption] = field(default_factory=list)
    obstacles: list[Obstacle] = field(default_factory=list)
    _named: set[str] = field(default_factory=set)
    _followed: set[fx.Node] = field(default_factory=set)
    _read: set[str] = field(default_factory=set)
    _absorbing: Counter[fx.Node] = field(default_factory=Counter)

    @cached_property
    def name(self) -> str:
        return operator(self.node) or getattr(self.node.target, "__name__", str(self.node.target))

    @cached_property
    def _given(self) -> dict[str, Any]:
        schema = getattr(self.node.target, "_schema", None)
        names = [a.name for a in schema.arguments] if schema else map(str, range(len(self.node.args)))
        return dict(zip(names, self.node.args, strict=False)) | dict(self.node.kwargs)

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        schema = getattr(self.node.target, "_schema", None)
        return {a.name: a.default_value for a in schema.arguments if a.has_default_value()} if schema else {}

    @property
    def first(self) -> str:
        """The name of the first argument."""
        return next(iter(self._given))

    def overlooked(self, harmless: frozenset[str]) -> list[str]:
        """Arguments other than `harmless` that weren't asked for and that don't have their default value.

        Of those asked for, too, where an activation's ids were not.
        """
        found = []
        for name, given in self._given.items():
            nodes = tree_nodes(given)
            if name in self._named:
                missed = any(not self.stored.constant(n) and n not in self._followed for n in nodes)
            else:
                missed = bool(nodes) or given != self._defaults.get(name, ...)
            if missed and name not in harmless:
                found.append(name)
        return found

    def value(self, name: str) -> Any:
        self._named.add(name)
        return self._given.get(name, self._defaults.get(name))

    def has(self, name: str) -> bool:
        return self.value(name) is not None

    def tensor(self, name: str) -> bool:
        given = self.value(name)
        return isinstance(given, fx.Node) and isinstance(given.meta.get("val"), Tensor)

    def constant(self, argument: Argument) -> bool:
        """Whether it is a tensor that doesn't depend on the network's input."""
        node = self._node(argument)
        return isinstance(node, fx.Node) and self.stored.constant(node)

    def stored_numbers(self, argument: Argument) -> bool:
        """Whether a constant argument is computed from stored tensors."""
        return bool(self.stored.leaves(self._node(argument)))

    def any_factor(self, name: str) -> bool:
        """Whether an argument is zero or infinite everywhere, and so the same after any division."""
        given = self.value(name)
        return is_zero(given) or (isinstance(given, float) and given in (torch.inf, -torch.inf))

    def ids(self, argument: Argument) -> Ids:
        """The ids of a tensor argument, in the tensor's shape."""
        node = self._node(argument)
        self._followed.add(node)
        found: Tensor = self.ids_of(node)
        return found

    def narrow(self, argument: Argument) -> Ids:
        """The ids of a tensor argument, with size one wherever they don't vary."""
        return compact(self.ids(argument))

    def shape(self, argument: Argument) -> torch.Size:
        return self.ids(argument).shape

    def absorb(self, argument: Argument, *, multiply: Ids | None = None, divide: Ids) -> None:
        """Make a constant argument `argument * factor[multiply] / factor[divide]`; ids broadcast to it.

        Where it can't change in that way the factors on both sides must be equal.
        """
        node = self._node(argument)
        multiply = torch.full_like(divide, ONE) if multiply is None else multiply
        if not self.stored.constant(node):
            self.pin(self.ids(node), "weighs something by it")
        unchanged = all(ids.numel() == 1 and self.variables.pinned(ids).all() for ids in (multiply, divide))
        taken = None if unchanged else Absorber(self.stored, self.variables).take_up(node, multiply, divide)
        if taken is None:
            because = self.said("uses a tensor that can't take up a factor")
            self._obstructed(self.variables.tie(multiply, divide, because), because)
        else:
            self.absorptions += taken.absorptions
            self._read |= taken.read
            self._absorbing[node] += 1

    def read(self) -> set[str]:
        """The stored tensors whose numbers enter the operator as they are."""
        nodes = Counter(tree_nodes((self.node.args, dict(self.node.kwargs))))
        as_they_are = [n for n in nodes - self._absorbing if self.stored.constant(n)]
        return self._read.union(*(self.stored.leaves(node) for node in as_they_are))

    def pin(self, ids: Ids, because: str) -> None:
        """Pin ids, which is an obstacle where they were free."""
        because = self.said(because)
        self._obstructed(self.variables.pin(ids, because), because)

    def merge(self, a: Ids, b: Ids, because: str) -> None:
        """Merge ids, which is an obstacle where that pins some."""
        because = self.said(because)
        self._obstructed(self.variables.merge(a, b, because), because)

    def _obstructed(self, channels: int, because: str) -> None:
        if channels:
            self.obstacles.append(Obstacle(self.name, path(self.node), because, channels))

    def said(self, predicate: str) -> str:
        """A sentence about this operator."""
        where = path(self.node)
        return f"{self.name} in {where} {predicate}" if where else f"{self.name} {predicate}"

    def ones(self, output: int = 0) -> Ids:
        """Ids of an output with the factor one, whatever the input."""
        return constants(self._value(output).shape)

    def fixed(self, because: str) -> Any:
        """Ids of all outputs, with the factor one for the given reason."""
        one = self.variables.new(1)
        self.variables.pin(one, self.said(because))
        values = self.node.meta["val"]
        if not isinstance(values, tuple | list):
            return constants(values.shape, int(one))
        return tuple(constants(v.shape, int(one)) if isinstance(v, Tensor) else None for v in values)

    def _value(self, output: int) -> Tensor:
        found: Any = self.node.meta["val"]
        result: Tensor = found[output] if isinstance(found, tuple | list) else found
        return result

    def _node(self, argument: Argument) -> fx.Node:
        found: fx.Node = self.value(argument) if isinstance(argument, str) else argument
        return found

    def run(self) -> Any:
        """Run the operator itself on its arguments' ids; None where its indices aren't known."""
        self._named |= set(self._given)
        self._followed |= set(self.node.all_input_nodes)
        return rearranged(self.node, self.ids_of, value)


def tree_nodes(arguments: Any) -> list[fx.Node]:
    """The nodes among arguments, lists of them included."""
    return [leaf for leaf in tree_leaves(arguments) if isinstance(leaf, fx.Node)]
