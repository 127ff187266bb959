"""The curvature of a loss as L-BFGS estimates it: the last steps, and the gradient's change along each."""

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

# Steps that are remembered; torch's own number.
MEMORY = 100


class Curvature:
    """An approximate inverse Hessian in compact form, all on the device of the pictures.

    With S the steps and Y the gradient's changes as rows, R the upper triangle of S Y', D its diagonal and
    c = s'y / y'y of the last step, the inverse Hessian times a gradient g is c g + S' u - c Y' w, where
    w = R^-1 S g and u = R^-T ((D + c Y Y') w - c Y g): Byrd, Nocedal and Schnabel, Representations of
    quasi-Newton matrices, Mathematical Programming 63 (1994), equation 3.1. The usual two loops over the
    steps give the same; this is a few products of matrices instead of six hundred small ones.
    """

    def __init__(self, like: Float[Tensor, "..."], memory: int = MEMORY) -> None:
        self._moved = like.new_empty(memory, like.numel())
        self._bent = torch.empty_like(self._moved)
        # s_i' y_j and y_i' y_j by place in the memory; once that is full, the oldest place is overwritten.
        self._moved_bent = torch.zeros(memory, memory, dtype=torch.float64, device=like.device)
        self._bent_bent = torch.zeros_like(self._moved_bent)
        self._seen = 0

    def __len__(self) -> int:
        """How many steps are remembered."""
        return min(self._seen, len(self._moved))

    def remember(self, moved: Float[Tensor, "..."], bent: Float[Tensor, "..."]) -> None:
        """Add a step and the gradient's change along it; their product must be positive."""
        place = self._seen % len(self._moved)
        self._seen += 1
        self._moved[place], self._bent[place] = moved.flatten(), bent.flatten()
        known = slice(len(self))
        s, y = self._moved[place], self._bent[place]
        self._moved_bent[known, place] = (self._moved[known] @ y).double()
        of_bent = (self._bent[known] @ torch.stack((s, y), 1)).double()
        self._moved_bent[place, known] = of_bent[:, 0]
        self._bent_bent[place, known] = self._bent_bent[known, place] = of_bent[:, 1]

    def newton_step(self, gradient: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Minus the inverse Hessian times the gradient; at least one step must be remembered."""
        count = len(self)
        newest = (self._seen - 1) % len(self._moved)
        moved, bent, g = self._moved[:count], self._bent[:count], gradient.flatten()
        # By age, the oldest first: R is triangular in that order alone.
        order = (torch.arange(count, device=g.device) + newest + 1) % count
        products, bends = (m[:count, :count][order][:, order] for m in (self._moved_bent, self._bent_bent))
        of_moved, of_bent = ((rows @ g).double()[order, None] for rows in (moved, bent))
        c = products[-1, -1] / bends[-1, -1]
        triangle = products.triu()
        w = torch.linalg.solve_triangular(triangle, of_moved, upper=True)
        right = products.diagonal()[:, None] * w + c * (bends @ w - of_bent)
        u = torch.linalg.solve_triangular(triangle.mT, right, upper=False)
        along, against = (_placed(by_age, order).to(g.dtype) for by_age in (u, c * w))
        return (against @ bent - along @ moved - c.to(g.dtype) * g).view_as(gradient)


def _placed(by_age: Float64[Tensor, "count 1"], order: Int64[Tensor, " count"]) -> Float64[Tensor, " count"]:
    return torch.empty_like(by_age[:, 0]).scatter(0, order, by_age[:, 0])
