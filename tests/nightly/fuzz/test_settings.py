"""Any value under any key is accepted in the key's type, or refused with a ConfigError."""

import copy
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scratch_project import ROOT, copy_settings

from unitmean.errors import ConfigError
from unitmean.pipeline.commands.configure import configure
from unitmean.pipeline.config.check import check
from unitmean.pipeline.config.compose import as_values, compose
from unitmean.pipeline.config.keys import all_keys, keys

# A third of what the readers get: these are slower.
EXECUTIONS = int(os.environ.get("UNITMEAN_FUZZ", "50"))
DEFAULT = as_values(compose(ROOT))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["${model.name}", "${", "???", "1e3", "nan", "cpu", "auto", "all", "0", "-1"])
    | st.binary(max_size=4)
    | st.dates()
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=4), SCALARS, max_size=2)
NAMES = st.sampled_from(all_keys())
QUIET: dict[str, Any] = {"deadline": None, "derandomize": True, "database": None}
QUIET |= {"suppress_health_check": list(HealthCheck)}


def fits(name: str, value: Any) -> bool:
    """Whether the schema's type, by Python's own means, has the value."""
    section, _, key = name.partition(".")
    words = str(keys(section)[key])
    kinds: list[type] = [type(None)] if "None" in words else []
    kinds += [kind for kind in (bool, float, str, list) if kind.__name__ in words]
    kinds += [int] if "int" in words else []
    kinds += [str] if "enum" in words.lower() or "choices." in words else []
    return type(value) in (kinds or [value.__class__])


@settings(max_examples=EXECUTIONS, **QUIET)
@given(name=NAMES, value=VALUES)
def test_a_value_in_params_yaml(name: str, value: Any) -> None:
    section, _, key = name.partition(".")
    values = copy.deepcopy(DEFAULT)
    values[section][key] = value
    try:
        found = check(values, "params.yaml")[section][key]
    except ConfigError as error:
        assert name.partition(".")[0] in str(error)
        return
    assert fits(name, found), (name, value, found)


@settings(max_examples=EXECUTIONS, **QUIET)
@given(values=VALUES | st.dictionaries(st.sampled_from([*DEFAULT, "a"]), VALUES, max_size=3))
def test_anything_as_params_yaml(values: Any) -> None:
    with pytest.raises(ConfigError):
        check(values, "params.yaml")


@settings(max_examples=max(20, EXECUTIONS // 5), **QUIET)
@given(
    name=NAMES | st.sampled_from(["model", "dataset", "+exports", "~model", "a"]), value=SCALARS | st.text()
)
def test_an_override(tmp_path_factory: pytest.TempPathFactory, name: str, value: Any) -> None:
    folder = tmp_path_factory.getbasetemp() / "project"
    if not folder.exists():
        folder.mkdir()
        copy_settings(folder)
    before = (folder / "params.yaml").read_bytes()
    try:
        configure(folder, [f"{name}={value}"])
    except ConfigError:
        assert (folder / "params.yaml").read_bytes() == before
