"""Where rounding decides a place, right networks jump by chance, and wrong ones are still found."""

import torch
from torch import Tensor, nn
from unit.graph.chains import randomised

import unitmean


class Unpooled(nn.Module):
    """As SegNet: what max pooling keeps goes back to the place where it was found."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 3, padding=1)
        self.pool, self.back = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        kept, places = self.pool(self.first(x).relu())
        found: Tensor = self.last(self.back(kept, places))
        return found


def nearly_tied(seed: int) -> Tensor:
    """An image with one window in which two pixels differ by a unit of float32."""
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) / 2
    x[:, :, 0, 0] = 1 + x[:, :, 0, 0]
    x[:, :, 0, 1] = torch.nextafter(x[:, :, 0, 0], torch.tensor(2.0))
    return x


class Ordered(nn.Module):
    """Its buffer's numbers have a meaning of their own, which rounding them otherwise would change."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)
        self.register_buffer("order", torch.tensor([3.0, 7, 5, 1, 6, 2, 4, 0]))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.first(x).relu()[:, self.get_buffer("order").long()])
        return found


def test_numbers_with_a_meaning_are_not_rounded_anew() -> None:
    network = randomised(Ordered())
    network.register_buffer("order", torch.tensor([3.0, 7, 5, 1, 6, 2, 4, 0]))
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    result = unitmean.normalise(network, [x], strict=False)
    assert unitmean.verify(network, result.state, [x], result) and unitmean.verify(network, result.state, [x])
    wrong = dict(result.state)
    wrong["last.weight"] = wrong["last.weight"] * (1 + 3e-4)
    assert not unitmean.verify(network, wrong, [x], result)
    assert not unitmean.verify(network, wrong, [x])


def test_a_jump_is_no_difference_and_a_wrong_weight_is_one() -> None:
    network = randomised(Unpooled())
    for seed in range(30):
        x = nearly_tied(seed)
        result = unitmean.normalise(network, [x])
        proof = unitmean.verify(network, result.state, [x], result)
        assert proof, proof.failures
        wrong = dict(result.state)
        wrong["last.weight"] = wrong["last.weight"] * 1.001
        assert not unitmean.verify(network, wrong, [x], result)
