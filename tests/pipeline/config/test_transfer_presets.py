"""Presets of style transfer."""

from pathlib import Path

import pytest

from unitmean.errors import ConfigError
from unitmean.pipeline.config.check import check
from unitmean.pipeline.config.compose import as_values, compose


def test_the_papers_preset_and_sizes_that_leave_nothing() -> None:
    root = Path(__file__).resolve().parents[3]
    values = as_values(compose(root, ["transfer=gatys2016", "+exports=all"]))
    assert values["transfer"]["layer_weights"] == "authors" and values["transfer"]["style_weight"] == 2000
    assert values["transfer"]["init"] == "noise" and values["transfer"]["pixels"] == 512
    assert values["rescale"]["exports"] == ["all"]
    check(values, "params.yaml")
    values["transfer"]["scales"] = 6
    with pytest.raises(ConfigError, match="must leave 32 pixels at the coarsest .* which leave 16"):
        check(values, "params.yaml")


def test_the_style_preset_measures_with_the_pooling_of_its_use() -> None:
    root = Path(__file__).resolve().parents[3]
    values = as_values(compose(root, ["+experiment=style", "dataset.path=/data/ILSVRC2012_img_val.tar"]))
    assert values["rescale"]["statistic"] == "rms" and values["weights"]["source"] == "caffe"
    assert values["model"]["pooling"] == values["transfer"]["pooling"] == "avg"
    check(values, "params.yaml")
