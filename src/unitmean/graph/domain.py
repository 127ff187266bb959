"""For which inputs a graph holds that was traced with one example."""

import inspect
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeGuard

from sympy import Integer
from torch import SymInt, Tensor, fx, nn
from torch.export import Dim
from torch.utils._pytree import tree_map

from unitmean.errors import NetworkError
from unitmean.graph.inputs import Arguments, Inputs, count, kind, tensors

# Numbers of images for which a condition must hold in a graph for any number.
COUNTS = (*range(2, 66), 100, 127, 128, 129, 250, 255, 256, 257, 500, 512, 1000, 1024, 4096)


class Free(Enum):
    """Which sizes of an example a trace leaves open, as far as the forward method allows it."""

    NONE = "none"
    BATCH = "the number of images"
    ALL = "all"


def dynamic_shapes(module: nn.Module, given: Arguments, free: Free) -> dict[str, Any] | None:
    """For torch.export: which dimensions of each tensor are free; of the batch alone, the first."""
    if free is Free.NONE:
        return None
    images = count(given)

    def dims(value: Any) -> dict[int, Any] | None:
        if not isinstance(value, Tensor) or not value.ndim:
            return None
        if free is Free.ALL:
            return dict.fromkeys(range(value.ndim), Dim.AUTO)
        return {0: Dim.AUTO} if len(value) == images else None

    bound = inspect.signature(module.forward).bind(*given.by_position, **given.by_name).arguments
    return {name: tree_map(dims, value) for name, value in bound.items()}


@dataclass(frozen=True, eq=False)
class Domain:
    """Inputs of one kind, whose tensors have certain sizes.

    A free size is a symbol or follows from others; `conditions` are those under which the graph was traced,
    as branches of the forward method and the operators' own rules ask for them.
    """

    kind: Hashable
    shapes: tuple[tuple[Any, ...], ...]
    conditions: tuple[Any, ...]

    @classmethod
    def of(cls, traced: fx.GraphModule, example: Inputs) -> "Domain":
        """The domain of a graph that was traced with this example."""
        found = [node.meta.get("val") for node in traced.graph.find_nodes(op="placeholder")]
        sizes = [tuple(value.shape) for value in found if isinstance(value, Tensor)]
        shapes = tuple(tuple(map(_expression, shape)) for shape in sizes)
        free = [size.node for shape in sizes for size in shape if _free(size)]
        conditions: list[Any] = []
        if free:
            symbols: Any = free[0].shape_env
            conditions += [symbols.replace(guard.expr) for guard in symbols.guards]
            for symbol in set().union(*(node.expr.free_symbols for node in free)):
                bounds = symbols.var_to_range[symbol]
                conditions += [symbol >= bounds.lower, symbol <= bounds.upper]
        return cls(kind(example), shapes, tuple(conditions))

    def __contains__(self, x: Inputs) -> bool:
        if kind(x) != self.kind:
            return False
        pairs = [
            (expression, size)
            for shape, tensor in zip(self.shapes, tensors(x), strict=True)
            for expression, size in zip(shape, tensor.shape, strict=True)
        ]
        numbers = {term: Integer(size) for term, size in pairs if getattr(term, "is_Symbol", False)}
        return all(_value(expression, numbers) == size for expression, size in pairs) and all(
            _value(condition, numbers) == True  # noqa: E712  # sympy's own truth, or a term that isn't known
            for condition in self.conditions
        )

    def require_any_batch(self, example: Inputs) -> None:
        """NetworkError where the number of images is fixed, or a condition not met by each of many numbers.

        After the forward method asks for the number, as len(x) does, it is fixed; a branch that depends on it
        leaves a condition.
        """
        images = count(example)
        of_batch = [
            shape[0]
            for shape, shown in zip(self.shapes, tensors(example), strict=True)
            if shown.ndim and len(shown) == images
        ]
        if any(isinstance(size, int) for size in of_batch) or not all(
            _value(condition, dict.fromkeys(condition.free_symbols, Integer(number)))
            for condition in self.conditions
            for number in COUNTS
        ):
            raise NetworkError(
                "the network must take batches of any size; found that it fixes the batch's size"
            )


def _free(size: int | SymInt) -> TypeGuard[SymInt]:
    return isinstance(size, SymInt) and size.node.maybe_as_int() is None


def _expression(size: int | SymInt) -> Any:
    return size.node.expr if _free(size) else int(size)


def _value(expression: Any, numbers: dict[Any, Integer]) -> Any:
    return expression if isinstance(expression, int) else expression.xreplace(numbers)
