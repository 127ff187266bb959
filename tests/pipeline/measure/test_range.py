"""float16 is brought into range by powers of two: no overflow, sums multiplied back without another error."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pipeline.measure.collecting_project import images, measurement

from unitmean.errors import DataError
from unitmean.graph.reload import reloaded
from unitmean.pipeline.index.index import Index
from unitmean.pipeline.measure.collecting import check
from unitmean.pipeline.measure.measurement import Measurement
from unitmean.pipeline.measure.range import float16_or_tf32, in_range


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def loud() -> Measurement:
    """A network whose first layer and those behind overflow in float16 by far."""
    small = measurement()
    module = small.network.module
    state = {
        name: tensor * 1e9 if name == "features.0.weight" else tensor
        for name, tensor in module.state_dict().items()
    }
    return replace(small, network=replace(small.network, module=reloaded(module, state)))


def test_what_overflows_in_float16_does_not_when_brought_into_range(index: Index, loud: Measurement) -> None:
    with pytest.raises(DataError, match=r"stay below 65,504 in float16.*collect.precision=bfloat16"):
        replace(loud, precision="float16").of(index)
    exact, half = loud.of(index), in_range(loud, index).of(index)
    for site in exact:
        live = exact[site].mean > 0.01 * exact[site].mean.max()
        for name in ("mean", "square", "mean_square", "maximum"):
            ratio = getattr(half[site], name)[live] / getattr(exact[site], name)[live]
            assert (ratio - 1).abs().max() < 0.05, (site, name)
        assert exact[site].mean.max() > 65504


def test_powers_of_two_change_no_bit_of_float32(index: Index) -> None:
    small = measurement()
    exact, moved = small.of(index), replace(in_range(small, index), precision="float32").of(index)
    for site in exact:
        for name in ("mean", "mean_square", "square", "maximum", "active"):
            assert torch.equal(getattr(exact[site], name), getattr(moved[site], name))


def test_auto_takes_float16_where_it_holds_and_tf32_where_it_does_not(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = measurement()
    assert float16_or_tf32(small, index).precision == "float16"
    monkeypatch.setattr("unitmean.pipeline.measure.range.PEAK", 1e6)
    assert float16_or_tf32(small, index) == replace(small, precision="tf32")


def test_float16_errs_less_than_bfloat16_and_knows_it(index: Index, tmp_path: Path) -> None:
    small = measurement()
    errors = {}
    for fast in (replace(small, precision="bfloat16"), in_range(small, index)):
        report = check(small, fast, index.head(8), tmp_path).report
        assert report is not None
        errors[fast.precision] = report["error"]["median"]
    assert 0 < errors["float16"] < errors["bfloat16"] / 2


def test_the_key_knows_the_powers_of_two(index: Index) -> None:
    small = replace(measurement(), precision="float16")
    half = in_range(small, index)
    other = replace(half, undo={site: 2 * factors for site, factors in half.undo.items()})
    assert len({m.key(index.head(3)) for m in (small, half, other)}) == 3
