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
