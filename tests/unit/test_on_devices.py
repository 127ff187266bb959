"""The library's front door on the CPU and on a GPU, with batches and weights from the other one."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from unit.graph.chains import chain, randomised
from unit.proof.test_jumps import Unpooled, nearly_tied

import unitmean

DEVICES = ["cpu", "cuda"]
pytestmark = pytest.mark.usefixtures("gpu")


class Made(nn.Module):
    """It makes numbers on the device that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        noise = torch.rand(8, 1, 1, device=x.device) + torch.zeros(1, device=x.device)
        found: Tensor = self.last((x * noise).relu() / len(x))
        return found


def batches(device: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(4, 3, 12, 12, generator=generator).to(device) for _ in range(2)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("of_batches", DEVICES)
@pytest.mark.parametrize("statistic", ["mean", "quantile"])
def test_normalised_and_proved_on_the_device(device: str, of_batches: str, statistic: str) -> None:
    model, shown = chain().to(device), batches(of_batches)
    result = unitmean.normalise(model, shown, statistic=statistic)
    proof = unitmean.verify(model, result.state, shown, result)
    assert proof, proof.failures
    on_cpu = {name: tensor.cpu() for name, tensor in result.state.items()}
    assert unitmean.verify(model, on_cpu, shown, result)
    on_cpu["0.weight"] = on_cpu["0.weight"] * 3
    assert not unitmean.verify(model, on_cpu, shown, result)
    expected = unitmean.normalise(chain(), batches("cpu"), statistic=statistic)
    torch.testing.assert_close(result.factors, expected.factors, rtol=1e-4, atol=0)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_on_the_device(device: str, dtype: torch.dtype) -> None:
    model = chain().to(device, dtype)
    result = unitmean.normalise(model, batches(device))
    assert unitmean.verify(model, result.state, batches(device), result)


@pytest.mark.parametrize("device", DEVICES)
def test_what_a_network_makes_is_on_the_device(device: str) -> None:
    model = Made().eval().to(device)
    result = unitmean.normalise(model, batches(device), strict=False)
    assert unitmean.verify(model, result.state, batches(device), result)


@pytest.mark.parametrize("device", DEVICES)
def test_a_result_is_kept_and_shown_whatever_device_it_is_of(device: str, tmp_path: Path) -> None:
    model = chain().to(device)
    result = unitmean.normalise(model, batches(device))
    result.save(tmp_path / "result.safetensors")
    result.report(tmp_path / "page.html")
    kept = unitmean.Normalised.load(tmp_path / "result.safetensors")
    model.load_state_dict(kept.state)
    assert all(torch.equal(kept.state[name], tensor.cpu()) for name, tensor in result.state.items())
    assert repr(result).splitlines()[1].split()[:2] == ["rectifier", "channels"]
    assert repr(kept) == repr(result)


@pytest.mark.parametrize("device", DEVICES)
def test_batch_norm_and_attention_on_the_device(device: str) -> None:
    attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    shown = [(chain(norm=True), torch.rand(2, 3, 12, 12)), (randomised(attention), torch.randn(4, 5, 8))]
    for network, x in shown:
        model = network.to(device)
        result = unitmean.normalise(model, [x])
        assert unitmean.verify(model, result.state, [x], result)
        name = next(name for name, tensor in result.state.items() if tensor.ndim > 1)
        wrong = result.state | {name: result.state[name] * 1.01}
        assert not unitmean.verify(model, wrong, [x], result)


@pytest.mark.parametrize("device", DEVICES)
def test_jumps_on_the_device(device: str) -> None:
    model = randomised(Unpooled()).to(device)
    for seed in range(8):  # of these some need float32's error of several roundings
        x = nearly_tied(seed)
        result = unitmean.normalise(model, [x])
        proof = unitmean.verify(model, result.state, [x], result)
        assert proof, proof.failures
