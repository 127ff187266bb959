"""One variable per channel of a tensor: what factor it may have."""

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

ONE = 0
"""The variable whose factor is one: of network inputs and of constants."""


def stored(ids: Int64[Tensor, "..."]) -> Int64[Tensor, "..."]:
    """The ids with size one in every dimension of which memory holds one position (stride 0)."""
    for dim in range(ids.ndim):
        if ids.stride(dim) == 0:
            ids = ids.narrow(dim, 0, min(1, ids.shape[dim]))
    return ids


class Variables:
    """Union-find over channel variables; a class is free, or pinned to one for a reason.

    Ids are int64 tensors of any shape; equal ids have equal factors.
    """

    def __init__(self) -> None:
        self._parent: list[int] = [ONE]
        # Why a class is pinned, and what tied it to the class that was pinned first.
        self._reason: dict[int, tuple[str, str]] = {ONE: ("it is the network's input or a constant", "")}
        self._preferred: list[tuple[Tensor, Tensor]] = []

    def __len__(self) -> int:
        return len(self._parent)

    def new(self, count: int) -> Int64[Tensor, " count"]:
        """`count` fresh free variables."""
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return torch.arange(first, first + count)

    def find(self, variable: int) -> int:
        """The representative of the variable's class."""
        root = variable
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[variable] != root:
            self._parent[variable], variable = root, self._parent[variable]
        return root

    def numbered(self) -> tuple[Int64[Tensor, " variables"], int]:
        """Each variable's class as a number, ONE if pinned, else from 1 up; and how many classes are free."""
        numbers = dict.fromkeys(self._reason, ONE)
        roots = [self.find(variable) for variable in range(len(self))]
        free = dict.fromkeys(root for root in roots if root not in numbers)
        numbers |= {root: i for i, root in enumerate(free, 1)}
        return torch.tensor([numbers[root] for root in roots]), len(free)

    def prefer(self, ids: Int64[Tensor, " n"], others: Int64[Tensor, " n"]) -> None:
        """Let `settle` make ids equal to others if nothing else is known of them by then."""
        self._preferred.append((ids, others))

    def settle(self) -> None:
        """Grant what is preferred."""
        preferred = {id for ids, _ in self._preferred for id in ids.tolist()}
        known = {self.find(variable) for variable in range(len(self)) if variable not in preferred}
        for ids, others in self._preferred:
            roots = [self.find(id) for id in ids.tolist()]
            chosen = torch.tensor([root not in known for root in roots], dtype=torch.bool)
            self.merge(ids[chosen], others[chosen], "lies beside it in a stored tensor")
            known |= {self.find(id) for id in ids[chosen].tolist()}

    def merge(self, a: Int64[Tensor, "..."], b: Int64[Tensor, "..."], because: str) -> int:
        """Make ids that meet under broadcasting equal; returns how many classes this pins."""
        a, b, newly = *map(stored, torch.broadcast_tensors(a, b)), 0
        for dim in range(a.ndim):  # all that meet one position of the other are equal to each other
            if a.shape[dim] != b.shape[dim]:
                wide = a if a.shape[dim] > b.shape[dim] else b
                first = wide.narrow(dim, 0, 1)
                newly += self._union(first.expand_as(wide), wide, because)
                a, b = (first, b) if wide is a else (a, first)
        return newly + self._union(a, b, because)

    def _union(self, a: Int64[Tensor, "..."], b: Int64[Tensor, "..."], because: str) -> int:
        newly, count = 0, len(self)
        a, b = a.reshape(-1), b.reshape(-1)
        other = a != b
        for pair in (a[other] * count + b[other]).unique().tolist():
            left, right = divmod(pair, count)
            i, j = self.find(left), self.find(right)
            if i == j or (i in self._reason and j in self._reason):
                continue
            if i in self._reason or j in self._reason:
                pinned, free = (i, j) if i in self._reason else (j, i)
                newly += 1
                self._reason[free] = (self._reason[pinned][0], because)
            else:
                self._parent[max(i, j)] = min(i, j)
        return newly

    def pin(self, ids: Int64[Tensor, "..."], because: str) -> int:
        """Give the ids the factor one; returns how many classes were free. The first reason is kept."""
        before = len(self._reason)
        for variable in stored(ids).unique().tolist():
            self._reason.setdefault(self.find(variable), (because, ""))
        return len(self._reason) - before

    def pinned(self, ids: Int64[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
        """Which ids have the factor one."""
        distinct, inverse = stored(ids).unique(return_inverse=True)
        held = [self.find(i) in self._reason for i in distinct.tolist()]
        found = torch.tensor(held, dtype=torch.bool)[inverse]
        return found.expand(ids.shape)

    def reason(self, variable: int) -> str | None:
        """Why the variable is pinned, or None where it is free."""
        root, tie = self._reason.get(self.find(variable), ("", ""))
        return (f"{tie}: {root}" if tie else root) or None
