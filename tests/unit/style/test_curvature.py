"""The compact form is the usual two loops over the remembered steps."""

import pytest
import torch
from torch import Tensor

from unitmean.style.curvature import Curvature


def bends(count: int, size: int, seed: int = 1) -> list[tuple[Tensor, Tensor]]:
    """Steps and changes of the gradient under a Hessian between 0.1 and 10."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q
    hessian = root * torch.logspace(-1, 1, size, dtype=torch.float64) @ root.mT
    moved = torch.randn(count, size, generator=generator, dtype=torch.float64)
    return [(s, hessian @ s) for s in moved]


def two_loops(gradient: Tensor, memory: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Nocedal and Wright, Numerical Optimization, 2nd edition, algorithm 7.4 and equation 7.20."""
    step, parts = -gradient, []
    for s, y in reversed(memory):
        parts.append((s @ step) / (s @ y))
        step = step - parts[-1] * y
    s, y = memory[-1]
    step = step * (s @ y) / (y @ y)
    for s, y in memory:
        step = step + (parts.pop() - (y @ step) / (s @ y)) * s
    return step


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 13])
def test_it_is_what_two_loops_over_the_last_steps_give(count: int) -> None:
    curvature, memory = Curvature(torch.zeros(12, dtype=torch.float64), memory=5), bends(count, 12)
    for s, y in memory:
        curvature.remember(s, y)
    gradient = torch.randn(12, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert len(curvature) == min(count, 5)
    expected = two_loops(gradient, memory[-5:])
    torch.testing.assert_close(curvature.newton_step(gradient), expected)
    assert expected @ gradient < 0


def test_the_step_fits_the_last_bend() -> None:
    """The secant equation: the inverse Hessian takes the gradient's last change to the last step."""
    curvature, memory = Curvature(torch.zeros(3, 4, dtype=torch.float64)), bends(4, 12)
    for s, y in memory:
        curvature.remember(s.view(3, 4), y.view(3, 4))
    s, y = memory[-1]
    torch.testing.assert_close(curvature.newton_step(y.view(3, 4)), -s.view(3, 4))


def test_single_precision_keeps_its_digits() -> None:
    curvature, memory = Curvature(torch.zeros(40)), bends(60, 40)
    for s, y in memory:
        curvature.remember(s.float(), y.float())
    gradient = torch.randn(40, generator=torch.Generator().manual_seed(3))
    expected = two_loops(gradient.double(), memory)
    assert (curvature.newton_step(gradient) - expected).norm() < 1e-2 * expected.norm()


@pytest.mark.usefixtures("gpu")
def test_a_gpus_step_is_the_cpus() -> None:
    steps = {}
    for device in ("cpu", "cuda"):
        curvature = Curvature(torch.zeros(40, device=device), memory=3)
        for moved, change in bends(5, 40):
            curvature.remember(moved.float().to(device), change.float().to(device))
        steps[device] = curvature.newton_step(torch.linspace(-1, 1, 40).to(device))
    assert steps["cuda"].device.type == "cuda"
    torch.testing.assert_close(steps["cuda"].cpu(), steps["cpu"])
