"""One variable per channel of a tensor: what factor it may have."""

from collections.abc import Container
from dataclasses import dataclass

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


BESIDE = "{tie} ({why})"  # how a tie by a stored tensor and the reason make a sentence


@dataclass(frozen=True)
class _Reason:
    """Why a class is pinned, and what tied it to the class that was pinned first, in one sentence `by`."""

    why: str
    tie: str = ""
    by: str = "{why}"


class Variables:
    """Union-find over channel variables; a class is free, or pinned to one for a reason.

    Ids are int64 tensors of any shape; equal ids have equal factors.
    """

    def __init__(self) -> None:
        self._parent: list[int] = [ONE]
        self._reason: dict[int, _Reason] = {ONE: _Reason("it is the network's input or a constant")}
        self._rectified: set[int] = set()
        self._ties: dict[int, str] = {}  # of free classes what stored tensor ties them, if one does
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

    def merge(
        self, a: Int64[Tensor, "..."], b: Int64[Tensor, "..."], because: str, by: str = "{tie}: {why}"
    ) -> int:
        """Make ids that meet under broadcasting equal; returns how many classes this pins.

        `by` puts `because` and the reason of what was pinned before into one sentence.
        """
        a, b, newly = *map(stored, torch.broadcast_tensors(a, b)), 0
        for dim in range(a.ndim):  # all that meet one position of the other are equal to each other
            if a.shape[dim] != b.shape[dim]:
                wide = a if a.shape[dim] > b.shape[dim] else b
                first = wide.narrow(dim, 0, 1)
                newly += self._union(first.expand_as(wide), wide, because, by)
                a, b = (first, b) if wide is a else (a, first)
        return newly + self._union(a, b, because, by)

    def tie(self, a: Int64[Tensor, "..."], b: Int64[Tensor, "..."], because: str) -> int:
        """As `merge`, of ids that a stored tensor ties: activations of the one are none of the other."""
        return self.merge(a, b, because, by=BESIDE)

    def _union(self, a: Int64[Tensor, "..."], b: Int64[Tensor, "..."], because: str, by: str) -> int:
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
                self._reason[free] = _Reason(self._reason[pinned].why, because, by)
            else:
                root, other_root = min(i, j), max(i, j)
                self._parent[other_root] = root
                if other_root in self._rectified:
                    self._rectified.add(root)
                ties = [self._ties.pop(old) for old in (i, j) if old in self._ties]
                ties += [because] if by == BESIDE else []
                if ties:
                    self._ties[root] = ties[0]
        return newly

    def pin(self, ids: Int64[Tensor, "..."], because: str) -> int:
        """Give the ids the factor one; returns how many classes were free. The first reason is kept."""
        before = len(self._reason)
        for root in map(self.find, stored(ids).unique().tolist()):
            tie = self._ties.get(root)
            self._reason.setdefault(root, _Reason(because, tie, BESIDE) if tie else _Reason(because))
        return len(self._reason) - before

    def pinned(self, ids: Int64[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
        """Which ids have the factor one."""
        return self._among(self._reason, ids)

    def rectify(self, ids: Int64[Tensor, "..."]) -> None:
        """These ids are a rectifier's."""
        self._rectified.update(map(self.find, stored(ids).unique().tolist()))

    def rectified(self, ids: Int64[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
        """Which ids are those of rectifiers, as far as it is known by now."""
        return self._among(self._rectified, ids)

    def _among(self, roots: Container[int], ids: Int64[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
        distinct, inverse = stored(ids).unique(return_inverse=True)
        held = [self.find(i) in roots for i in distinct.tolist()]
        found = torch.tensor(held, dtype=torch.bool)[inverse]
        return found.expand(ids.shape)

    def reason(self, variable: int) -> str | None:
        """Why the variable is pinned, or None where it is free."""
        reason = self._reason.get(self.find(variable))
        return None if reason is None else reason.by.format(tie=reason.tie, why=reason.why)
