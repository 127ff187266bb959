"""How stored tensors take up factors where the network computes its weights from them, as in weight norm."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Int64
from torch import Tensor, fx

from unitmean.graph.ids import compact, fitted
from unitmean.graph.nodes import operator, unsettled
from unitmean.graph.rearrange import rearranged, rearranges
from unitmean.graph.stored import COPIES, Stored, is_zero, value
from unitmean.graph.variables import ONE, Variables

Ids = Int64[Tensor, "..."]
UNREAD = -1  # in the place of an id: of numbers that a computation leaves out


@dataclass(frozen=True)
class Absorption:
    """A stored tensor takes up factors: `tensor * factor[multiply] / factor[divide]`, ids broadcast to it."""

    name: str
    multiply: Int64[Tensor, "..."]
    divide: Int64[Tensor, "..."]

    def fits(self, tensor: Tensor) -> bool:
        """Whether the ids broadcast to the tensor's shape."""
        try:
            shapes = torch.broadcast_shapes(self.multiply.shape, self.divide.shape, tensor.shape)
        except RuntimeError:
            return False
        return bool(shapes == tensor.shape)


@dataclass(frozen=True)
class Taken:
    """What took up factors, and the stored tensors that the same computation reads as they are."""

    absorptions: list[Absorption] = field(default_factory=list)
    read: set[str] = field(default_factory=set)

    def and_read(self, *names: set[str]) -> "Taken":
        """A copy in which these tensors count as read, too."""
        return Taken(self.absorptions, self.read.union(*names))


@dataclass(frozen=True)
class Absorber:
    """Changes what a constant node computes into `value * factor[multiply] / factor[divide]`."""

    stored: Stored
    variables: Variables

    def take_up(self, node: fx.Node, multiply: Ids, divide: Ids) -> Taken | None:
        """What takes up the factors; None where the node can't change so. Ids broadcast to its shape."""
        if not self.stored.constant(node) or not _floats(node) or unsettled(node):
            return None
        if self.stored.absorbs(node):
            return Taken([Absorption(self.stored.canonical(node), compact(multiply), compact(divide))])
        name = operator(node)
        if name in COPIES or name in {"neg", "dropout"}:
            return self._copied(node, multiply, divide)
        rule = _RULES.get(name)
        if rule:
            return rule(self, node, multiply, divide)
        return self._moved(node, multiply, divide) if rearranges(node) else None

    def _copied(self, node: fx.Node, multiply: Ids, divide: Ids) -> Taken | None:
        return self.take_up(node.args[0], multiply, divide)  # type: ignore[arg-type]

    def _multiplied(self, node: fx.Node, multiply: Ids, divide: Ids) -> Taken | None:
        """One operand takes up everything, preferably one that has a number for each of the ids."""
        parts = [part for part in node.args[:2] if isinstance(part, fx.Node)]
        sides = [part for part in parts if isinstance(part.meta.get("val"), Tensor)]
        sides.sort(key=lambda side: -side.meta["val"].numel())
        apart = [side for side in sides if _apart(side, multiply) and _apart(side, divide)]
        for side in apart + [side for side in sides if side not in apart]:
            if taken := self._one_of(side, multiply, divide):
                others = sides[:1] if len(set(sides)) < len(sides) else set(parts) - {side}
                return taken.and_read(*(self.stored.leaves(other) for other in others))
        return None

    def _divided(self, node: fx.Node, multiply: Ids, divide: Ids) -> Taken | None:
        above, below = node.args[:2]
        if node.kwargs.get("rounding_mode") is not None or not isinstance(above, fx.Node):
            return None
        taken = self._one_of(above, multiply, divide)
        return taken and taken.and_read(self.stored.leaves(below) if isinstance(below, fx.Node) else set())

    def _one_of(self, node: fx.Node, multiply: Ids, divide: Ids) -> Taken | None:
        """Let an operand take up the factors; it broadcasts to the operator's result."""
        if not _floats(node):  # a number
            return None
        shape = node.meta["val"].shape
        return self.take_up(node, self._fitted(multiply, shape), self._fitted(divide, shape))

    def _added(self, node: fx.Node, multiply: Ids, divide: Ids) -> Taken | None:
        """Both terms take up the same factors."""
        first, second = node.args[:2]
        if not isinstance(first, fx.Node):
            return None
        if is_zero(second):
            return self._one_of(first, multiply, divide)
        if not isinstance(second, fx.Node):
            return None
        one, two = (self._one_of(side, multiply, divide) for side in (first, second))
        return Taken(one.absorptions + two.absorptions, one.read | two.read) if one and two else None

    def _of_matrices(self, node: fx.Node, multiply: Ids, divide: Ids) -> Taken | None:
        """A product of two matrices: the first takes up the rows' factors, the second those of columns."""
        rows, columns = (part for part in node.args[:2] if isinstance(part, fx.Node))
        if rows.meta["val"].ndim != 2 or columns.meta["val"].ndim != 2:
            return None
        both = [compact(ids.expand(node.meta["val"].shape)) for ids in (multiply, divide)]
        if any(min(ids.shape) > 1 for ids in both):
            return None
        one, whole = torch.full((1, 1), ONE), Taken()
        across = [ids.shape[1] > 1 for ids in both]
        for side, wanted in ((rows, False), (columns, True)):
            own = [ids if there == wanted else one for ids, there in zip(both, across, strict=True)]
            taken = self.take_up(side, *own)
            if taken is None and any(ids is not one for ids in own):
                return None
            taken = taken or Taken(read=self.stored.leaves(side))
            whole = Taken(whole.absorptions + taken.absorptions, whole.read | taken.read)
        return whole

    def _weight_norm(self, node: fx.Node, multiply: Ids, divide: Ids) -> Taken | None:
        """v * g / |v|: g takes up the factors, merged where one number of g serves several channels."""
        direction, gain = node.args[:2]
        assert isinstance(direction, fx.Node) and isinstance(gain, fx.Node)
        taken = self._one_of(gain, multiply, divide)
        return taken and taken.and_read(self.stored.leaves(direction))

    def _standardised(self, node: fx.Node, multiply: Ids, divide: Ids) -> Taken | None:
        """Weights standardised by a batch norm with filters as channels: its weight takes up the factors."""
        names = (argument.name for argument in node.target._schema.arguments)  # type: ignore[union-attr]
        given = dict(zip(names, node.args, strict=False))
        gain = given["weight"]
        if not given["training"] or given["bias"] is not None or not isinstance(gain, fx.Node):
            return None
        across = (1, *gain.meta["val"].shape, *[1] * (multiply.ndim - 2))
        fit = [self._fitted(ids, across).reshape(-1) for ids in (multiply, divide)]
        taken = self.take_up(gain, *fit)
        return taken and taken.and_read(self.stored.leaves(given["input"]))

    def _moved(self, node: fx.Node, multiply: Ids, divide: Ids) -> Taken | None:
        """The sources of moved numbers take up the factors; moved indices show where each came from."""
        start, positions = 0, {}
        source_of = node
        while not operator(source_of):  # an item of several results
            source_of = source_of.args[0]  # type: ignore[assignment]
        if not rearranges(source_of):
            return None
        for source in source_of.all_input_nodes:
            shape = source.meta["val"].shape
            positions[source] = torch.arange(start, start + shape.numel()).reshape(shape)
            start += shape.numel()
        placed = rearranged(source_of, positions.__getitem__, value)
        if source_of is not node and placed is not None:
            placed = placed[node.args[1]]
        if placed is None:
            return None
        whole = Taken()
        for source, position in positions.items():
            if not _floats(source):  # indices, which may have been computed from numbers
                whole = whole.and_read(self.stored.leaves(source))
                continue
            if not position.numel():
                continue
            own = (placed >= position.min()) & (placed <= position.max())
            into = placed[own] - position.min()
            back = []
            for ids in (multiply, divide):
                there = torch.full((position.numel(),), UNREAD)
                there[into] = ids.expand(placed.shape)[own]
                self.variables.merge(
                    there[into], ids.expand(placed.shape)[own], "a stored tensor is read twice"
                )
                back.append(self._completed(there.reshape(position.shape)))
            taken = self.take_up(source, *back)
            if taken is None:
                return None
            whole = Taken(whole.absorptions + taken.absorptions, whole.read | taken.read)
        return whole

    def _completed(self, ids: Ids) -> Ids:
        """The ids with variables of their own in the place of UNREAD: other places may read those numbers.

        If none does, they had better follow those beside them: of a table of positions as many are read as
        there are words, and the next text may be longer.
        """
        ids = compact(ids).clone()
        unread = ids == UNREAD
        beside, own = _continued(ids)[unread], self.variables.new(int(unread.sum()))
        ids[unread] = own
        self.variables.prefer(own[beside != UNREAD], beside[beside != UNREAD])
        return ids

    def _fitted(self, ids: Ids, shape: tuple[int, ...]) -> Ids:
        return fitted(self.variables, ids, shape, "one number of a stored tensor serves several channels")


def _continued(ids: Ids) -> Ids:
    """Ids in the place of UNREAD wherever all others along some dimension are the same."""
    for dim in range(ids.ndim):
        largest = ids.amax(dim, keepdim=True)
        smallest = torch.where(ids == UNREAD, largest, ids).amin(dim, keepdim=True)
        ids = torch.where((ids == UNREAD) & (largest == smallest), largest, ids)
    return ids


def distinguishes(shape: torch.Size | tuple[int, ...], ids: Ids) -> bool:
    """Whether a tensor of that shape has a number of its own for each of the ids that it meets."""
    sizes = compact(ids).shape
    more = max(len(sizes), len(shape))
    met, own = ((1,) * (more - len(some)) + tuple(some) for some in (sizes, shape))
    return all(size == 1 or there > 1 for size, there in zip(met, own, strict=True))


_RULES: dict[str, Callable[[Absorber, fx.Node, Ids, Ids], Taken | None]] = {
    **dict.fromkeys(("mul", "multiply"), Absorber._multiplied),
    **dict.fromkeys(("div", "divide", "true_divide"), Absorber._divided),
    **dict.fromkeys(("add", "sub", "subtract"), Absorber._added),
    **dict.fromkeys(("mm", "matmul"), Absorber._of_matrices),
    "_weight_norm": Absorber._weight_norm,
    "batch_norm": Absorber._standardised,
}


def _apart(node: fx.Node, ids: Ids) -> bool:
    return distinguishes(node.meta["val"].shape, ids)


def _floats(node: fx.Node) -> bool:
    found = node.meta.get("val")
    return isinstance(found, Tensor) and found.is_floating_point()
