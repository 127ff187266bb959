"""Forward methods that make numbers on the spot, name images by number or fold them: followed or refused."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import roi_align
from unit.graph.chains import randomised

import unitmean
from unitmean.api import measure
from unitmean.errors import NetworkError
from unitmean.graph.analysis import analyse

BOXES = torch.tensor([[0.0, 0, 0, 8, 8], [1, 2, 2, 9, 9], [3, 0, 0, 5, 5]])


class Odd(nn.Module):
    """A rectified convolution, `body`, and a convolution that leaves its channels free."""

    def __init__(self, body: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.body, self.last = nn.Conv2d(3, 8, 3, padding=1), body, nn.LazyConv2d(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.body(self.first(x).relu()))
        return found


def added_by_index(x: Tensor) -> Tensor:
    sums = torch.zeros(len(x), 4, *x.shape[2:])
    return sums.index_add(1, torch.arange(8) % 4, x)


def by_a_matrix(x: Tensor) -> Tensor:
    return torch.einsum("nchw,cd->ndhw", x, torch.eye(8))


def at_a_grid(x: Tensor) -> Tensor:
    line = torch.linspace(-1, 1, 5)
    grid = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1)
    return nn.functional.grid_sample(x, grid.expand(len(x), 5, 5, 2), align_corners=False)


def with_noise(x: Tensor) -> Tensor:
    return x * torch.rand(8, 1, 1, dtype=torch.float32) + 0 * torch.randn_like(x)


def by_places(x: Tensor) -> Tensor:
    """As detectors decode: a place is a whole number, which is divided and multiplied with by a matrix."""
    places = x.flatten(2).argmax(2)  # n x 8
    across = (places / x.shape[3]).type(torch.float32)
    return x * (across @ torch.eye(8))[:, :, None, None]


def at_boxes(x: Tensor) -> Tensor:
    found: Tensor = roi_align(x, BOXES, (3, 3))
    return found


def by_their_number(x: Tensor) -> Tensor:
    return (x / len(x)).relu()


def by_number(x: Tensor) -> Tensor:
    return x[[0, 3, 1]] + x[:3]


def folded(x: Tensor) -> Tensor:
    return x.view(4, -1, *x.shape[2:]).relu()


def vectorised(x: Tensor) -> Tensor:
    found: Tensor = torch.vmap(lambda image: 2 * image)(x)
    return found


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls it deprecated
        inner = torch.jit.script(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()))
    return nn.Sequential(inner, nn.Conv2d(8, 4, 1))


def odd(body: Callable[[Tensor], Tensor]) -> tuple[nn.Module, list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    batches = [torch.rand(4, 3, 12, 12, generator=generator) for _ in range(2)]
    module = Odd(body)
    with torch.no_grad():
        module(batches[0])  # the last convolution's channels are as many as it meets
    return randomised(module), batches


@pytest.mark.parametrize(
    "body",
    [
        added_by_index,
        by_a_matrix,
        at_a_grid,
        with_noise,
        at_boxes,
        by_places,
        by_number,
        by_their_number,
        folded,
    ],
    ids=lambda body: body.__name__,
)
def test_it_is_followed_and_proved(body: Callable[[Tensor], Tensor]) -> None:
    module, batches = odd(body)
    result = unitmean.normalise(module, batches, strict=False)
    assert result.plan.sites
    proof = unitmean.verify(module, result.state, batches, result)
    assert proof, proof.failures
    # In float32 and in float64 the very same numbers are made: only rounding is between them.
    assert max(found.float32_error for found in proof.deviations.values()) < 1e-5


def test_the_number_of_images_is_each_batch_s_own() -> None:
    module, (first, second) = odd(by_their_number)
    batches = [first, second[:3]]
    plan = analyse(module, first)
    found = measure(module, batches, plan)["relu_1"]
    with torch.no_grad():
        shown = torch.cat([(module.get_submodule("first")(x).relu() / len(x)).double() for x in batches])
    torch.testing.assert_close(found.expectation(), shown.mean((0, 2, 3)), rtol=1e-5, atol=1e-9)


def test_a_number_of_channels_that_depends_on_the_batch_is_told() -> None:
    module, (first, second) = odd(folded)
    module.last = nn.Identity()
    with pytest.raises(NetworkError, match="relu_1 must have the 8 channels .* found 4, .* of one size"):
        unitmean.normalise(module, [first, second[:2]], outputs="normalise")


def test_vmap_is_told() -> None:
    module, batches = odd(vectorised)
    with pytest.raises(NetworkError, match="must not call torch.vmap"):
        unitmean.normalise(module, batches)


def test_a_part_that_is_torchscript_is_told() -> None:
    with pytest.raises(NetworkError, match="0 is TorchScript, .* from the module that was scripted"):
        unitmean.normalise(scripted().eval(), [torch.rand(4, 3, 12, 12)])
