"""Collecting: kept shards make no difference, a target stops it, bfloat16 knows its error."""

from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from pipeline.measure.collecting_project import images, measurement

from unitmean.pipeline.index.index import Index
from unitmean.pipeline.measure.collecting import check, collect
from unitmean.pipeline.measure.measurement import Advance, Measurement, Sums
from unitmean.pipeline.measure.shards import Target, local, shards
from unitmean.statistics.moments import Moments


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def small() -> Measurement:
    return measurement()


def refuses(
    measurement: Measurement, parts: Iterable[Index], advance: Advance
) -> Generator[Sums, None, None]:
    """An engine that must not be asked for anything."""
    assert list(parts) == []
    yield from ()


def equal(a: Sums, b: Sums) -> bool:
    names = ("mean", "mean_square", "square", "maximum", "active")
    return list(a) == list(b) and all(
        a[site].images == b[site].images and torch.equal(getattr(a[site], name), getattr(b[site], name))
        for site in a
        for name in names
    )


def test_sites_have_paper_names_and_every_image_counts(
    index: Index, small: Measurement, tmp_path: Path
) -> None:
    found = collect(small, index, 4, tmp_path)
    assert list(found.sums) == ["relu1_1", "relu2_1"] and found.sums["relu1_1"].images == 11
    assert list(found.table()["images"]) == [4, 8, 11]
    whole = Moments.of(torch.zeros(4, 1, 1))
    assert whole.images == 1
    one_by_one = collect(replace(small, batch_size=1), index, 1, tmp_path)
    torch.testing.assert_close(
        found.sums["relu2_1"].mean, one_by_one.sums["relu2_1"].mean, rtol=1e-5, atol=1e-7
    )


def test_kept_shards_are_not_measured_again_and_give_the_same_bits(
    index: Index, small: Measurement, tmp_path: Path
) -> None:
    first = collect(small, index, 4, tmp_path)
    assert equal(first.sums, collect(small, index, 4, tmp_path, engine=refuses).sums)
    (tmp_path / f"{small.key(shards(index, 4)[1])}.parquet").unlink()
    measured: list[int] = []

    def counting(
        measurement: Measurement, parts: Iterable[Index], advance: Advance
    ) -> Generator[Sums, None, None]:
        for part in parts:
            measured.append(len(part))
            yield from local(measurement, [part], advance)

    assert equal(first.sums, collect(small, index, 4, tmp_path, engine=counting).sums)
    assert measured == [4]


def test_a_larger_subset_measures_only_what_is_new_and_back_nothing(
    index: Index, small: Measurement, tmp_path: Path
) -> None:
    collect(small, index.head(6), 4, tmp_path)
    small_run = {path.name for path in tmp_path.iterdir()}
    collect(small, index, 4, tmp_path)
    # 4 are shared; the others' last shard held 2 where this one holds 4, and 3 more images are new.
    assert len({path.name for path in tmp_path.iterdir()} - small_run) == 2
    collect(small, index.head(6), 4, tmp_path, engine=refuses)


def test_order_of_measuring_makes_no_difference(index: Index, small: Measurement, tmp_path: Path) -> None:
    forwards = collect(small, index, 3, tmp_path / "a").sums
    for part in reversed(shards(index, 3)):
        collect(small, part, 3, tmp_path / "b")
    assert equal(forwards, collect(small, index, 3, tmp_path / "b", engine=refuses).sums)


@pytest.mark.parametrize(
    "change",
    [{"batch_size": 2}, {"identity": {"weights": "x"}}, {"precision": "bfloat16"}, {"compile": True}],
)
def test_whatever_changes_the_sums_changes_their_key(
    index: Index, small: Measurement, change: dict[str, Any]
) -> None:
    part = index.head(3)
    assert small.key(part) != replace(small, **change).key(part)
    assert small.key(part) == replace(small).key(part) != small.key(index.head(4))


def test_a_target_stops_at_the_first_shard_that_reaches_it(
    index: Index, small: Measurement, tmp_path: Path
) -> None:
    table = collect(small, index, 2, tmp_path / "whole").table()
    wanted = float(table["at_share"][2]) * 1.000001
    target = Target(wanted, 0.95, min_images=3)
    stopped = collect(small, index, 2, tmp_path / "fresh", target)
    assert len(stopped.index) == table["images"][2] == 6 and len(stopped.convergence) == 3
    share = stopped.table()["share"]
    assert share[2] >= 0.95 and share[1] < 0.95
    # All shards kept: the same stop, the same bits. No shard more than needed had been measured.
    assert len(list((tmp_path / "fresh").iterdir())) == 3
    again = collect(small, index, 2, tmp_path / "whole", target, engine=refuses)
    assert equal(stopped.sums, again.sums) and stopped.convergence == again.convergence


def test_a_target_out_of_reach_takes_all_images(index: Index, small: Measurement, tmp_path: Path) -> None:
    found = collect(small, index, 4, tmp_path, Target(1e-9, 1.0, min_images=2))
    assert len(found.index) == 11 and found.convergence[-1].share == 0


def test_too_few_images_to_know_a_standard_error_by_stop_nothing(
    index: Index, small: Measurement, tmp_path: Path
) -> None:
    found = collect(small, index, 4, tmp_path, Target(10.0, 0.1))
    assert len(found.index) == 11 and found.convergence[0].share == 1


def test_bfloat16_knows_its_error_and_can_correct_it(
    index: Index, small: Measurement, tmp_path: Path
) -> None:
    fast = replace(small, precision="bfloat16")
    checked = check(small, fast, index.head(8), tmp_path, correct=True)
    report = checked.report
    assert report is not None and checked.correction is not None and checked.errors is not None
    assert report["images"] == 8 and report["channels"] > 100
    assert 1e-5 < report["error"]["median"] < 1e-2 and report["error"]["worst_site"] in {"relu1_1", "relu2_1"}
    assert report["error_corrected"]["median"] < report["error"]["median"]
    # Over all the images the corrected means are nearer to float32's, which the control never saw.
    exact, rough = (collect(m, index, 4, tmp_path).sums for m in (small, fast))

    def error(sums: Sums) -> float:
        relative = [(sums[s].mean / exact[s].mean - 1).abs()[exact[s].mean > 0] for s in exact]
        return float(torch.cat(relative).median())

    assert error(checked.mended(rough)) < 0.7 * error(rough)
    assert not small.network.module.get_parameter("features.0.weight").dtype == torch.bfloat16
    assert report["corrected"]
    few = check(small, fast, index.head(2), tmp_path, correct=True).report  # without standard errors
    assert few is not None and not few["corrected"]


def test_convergence_is_a_table_that_csv_holds(index: Index, small: Measurement, tmp_path: Path) -> None:
    table = collect(small, index, 4, tmp_path).table()
    path = tmp_path / "convergence.csv"
    table.to_csv(path, index=False)
    read = pd.read_csv(path)
    assert list(read) == ["shard", "images", "channels", "median", "at_share", "worst", "share"]
    assert read["share"].isna().all()
    assert (read["median"] <= read["at_share"]).all() and (read["at_share"] <= read["worst"]).all()
