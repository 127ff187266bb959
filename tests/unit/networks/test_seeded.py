"""Weights from a seed."""

import pytest
import torch
from torch import nn

from unitmean.errors import NetworkError
from unitmean.networks.architectures import build
from unitmean.networks.inputs import TORCHVISION
from unitmean.networks.seeded import RECTIFIED_VARIANCE, badly_scaled, seeded, well_behaved
from unitmean.networks.skeleton import skeleton


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, stride=16),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 400, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(400, 10),
    ).eval()


def test_the_same_seed_gives_the_same_bits_another_seed_others() -> None:
    one, two, other = (well_behaved(small(), seed) for seed in (1, 1, 2))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not any(torch.equal(one[key], other[key]) for key in one if "num_batches" not in key)


def test_a_tensor_depends_on_its_name_not_on_its_neighbours() -> None:
    alone = nn.Sequential(nn.Conv2d(3, 32, 3), nn.Identity(), nn.Identity(), nn.Conv2d(32, 400, 3))
    assert torch.equal(well_behaved(alone, 0)["3.weight"], well_behaved(small(), 0)["3.weight"])


def test_filters_are_centred_with_the_variance_that_keeps_activations_alive() -> None:
    weights = well_behaved(small(), 0)
    filters = weights["3.weight"].double().flatten(1)
    assert filters.mean(1).abs().max() < 1e-8
    fan_in = 32 * 9
    assert float(filters.pow(2).mean() * RECTIFIED_VARIANCE * fan_in) == pytest.approx(1, rel=0.01)
    assert weights["0.weight"].flatten(1).mean(1).abs().max() > 1e-2  # the image's filters keep their mean
    assert 0.05 < float(weights["3.bias"].std()) < 0.2
    assert weights["1.running_var"].min() > 0


def test_depth_kills_no_channel() -> None:
    width, depth = 64, 12
    layers = [
        part for i in range(depth) for part in (nn.Conv2d(width if i else 3, width, 3, padding=1), nn.ReLU())
    ]
    module = nn.Sequential(*layers)
    module.load_state_dict(well_behaved(module, 0))
    x = torch.nn.functional.interpolate(
        torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0)), size=16, mode="bicubic"
    )
    for layer in module:
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            assert bool((x > 0).any(3).any(2).any(0).all())
    assert 0.2 < float(x.detach().std()) < 5


def test_bad_scales_change_no_output() -> None:
    module = small().double().requires_grad_(False)
    good = {key: value.double() for key, value in well_behaved(module, 0).items()}
    module.load_state_dict(good)
    other = small().double().requires_grad_(False)
    other.load_state_dict(badly_scaled(module.float(), good, 0, 3.0))
    module.double().load_state_dict(good)
    x = torch.randn(2, 3, 224, 224, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected, found = module(x), other(x)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-13
    activations, scaled = module[:5](x).mean((0, 2, 3)), other[:5](x).mean((0, 2, 3))
    gains = (scaled / activations).log10()
    # 99% of log-normal gains in 3 orders of magnitude: 3 / (2 * 2.576) is one standard deviation.
    assert float(gains.std()) == pytest.approx(3 / 5.152, rel=0.15)
    assert abs(float(gains.mean())) < 0.1


def test_spread_zero_leaves_the_weights() -> None:
    module = small()
    good = well_behaved(module, 0)
    module.load_state_dict(good)
    same = badly_scaled(module, good, 0, 0.0)
    assert all(torch.equal(same[key], good[key]) for key in good)


def test_another_architecture_gives_finite_float32_outputs() -> None:
    weights = seeded("squeezenet1_1", 0, 3.0)
    assert all(value.dtype == torch.float32 for value in weights.values())
    output = build("squeezenet1_1", weights, input=TORCHVISION).module(torch.rand(1, 3, 64, 64))
    assert bool(output.isfinite().all()) and float(output.std()) > 0


def test_index_tables_stay_what_construction_computes() -> None:
    module = skeleton("swin_t")
    key = "features.1.0.attn.relative_position_index"
    table = well_behaved(module, 0)[key]
    assert torch.equal(table, module.state_dict()[key]) and int(table.max()) == 13 * 13 - 1
    with pytest.raises(NetworkError, match="relative_position_index"):
        well_behaved(module.to("meta"), 0)
