"""A stage reads what dvc.yaml declares for it, typed, and nothing else."""

import copy
import pickle
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from unitmean.errors import ConfigError
from unitmean.pipeline.config.check import check
from unitmean.pipeline.config.compose import as_values, compose
from unitmean.pipeline.config.keys import keys, sections
from unitmean.pipeline.config.params import declared, read_params
from unitmean.pipeline.config.pipeline import Step, read_pipeline

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    values: dict[str, Any] = as_values(compose(ROOT))
    return values


@pytest.fixture
def values(composed: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(composed)


def step(*params: str) -> Step:
    """A stage that declares these keys, and of a section all keys."""
    listed = [[f"{name}.{key}" for key in keys(name)] if name in sections() else [name] for name in params]
    return Step("collect_statistics", (), (), tuple(chain.from_iterable(listed)))


def test_a_section_gives_all_its_keys_and_a_key_only_itself(values: dict[str, Any]) -> None:
    params = declared(step("model.name", "collect"), values, "params.yaml")
    assert params.model.name == "vgg19"
    assert {"batch_size": None, "control_images": 32}.items() <= dict(params.collect).items()
    assert list(params) == ["model", "collect"] and list(params.model) == ["name"]


@pytest.mark.parametrize("name", ["model.pooling", "dataset", "dataset.subset"])
def test_what_is_not_declared_cannot_be_read(values: dict[str, Any], name: str) -> None:
    params = declared(step("model.name", "collect"), values, "params.yaml")
    section, _, key = name.partition(".")
    with pytest.raises(ConfigError) as caught:
        getattr(getattr(params, section), key)
    for word in ("collect_statistics", "dvc.yaml", section):
        assert word in str(caught.value)


def test_values_are_plain_yaml_of_the_schemas_types(values: dict[str, Any]) -> None:
    values["verify"]["max_mean_ratio"] = 1
    values["transfer"]["style_layers"] = ["relu1_1"]
    params = declared(step("verify", "transfer", "model", "rescale"), values, "params.yaml")
    assert type(params.verify.max_mean_ratio) is float
    assert type(params.transfer.style_layers) is list
    assert params.model.pooling == "max" and type(params.model.pooling) is str
    assert params.rescale.rounding == "none"


def test_the_view_copies_and_pickles(values: dict[str, Any]) -> None:
    section = declared(step("collect"), values, "params.yaml").collect
    assert dict(copy.deepcopy(section)) == dict(pickle.loads(pickle.dumps(section))) == dict(section)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"model": "vgg16"},
            ["model must be a section", "'vgg16'", "--no-hydra", "`unitmean configure model=vgg16`"],
        ),
        ({"model": None}, ["model must be a section", "None", "`unitmean configure`"]),
        ({"collect": {"batch_size": "many"}}, ["collect.batch_size must be a whole number", "'many'"]),
        ({"collect": {"batch_size": 0}}, ["collect.batch_size must be at least 1", "0"]),
        ({"collect": {"control_images": None}}, ["collect.control_images must be a whole number", "None"]),
        ({"collect": {"batch_size": "${model.name}"}}, ["collect.batch_size", "interpolation"]),
        ({"collect": {"batch_sise": 8}}, ["'collect.batch_sise'", "did you mean collect.batch_size"]),
        ({"model": {"pooling": "mean"}}, ["model.pooling must be one of max, avg", "'mean'"]),
    ],
)
def test_a_hand_edited_value_is_refused_in_words(
    values: dict[str, Any], change: dict[str, Any], words: list[str]
) -> None:
    for section, content in change.items():
        values[section] = {**values[section], **content} if isinstance(content, dict) else content
    for refuse in (
        lambda: declared(step("model", "collect"), values, "params.yaml"),
        lambda: check(values, "params.yaml"),
    ):
        with pytest.raises(ConfigError) as caught:
            refuse()
        assert [word for word in words if word not in str(caught.value)] == []


def test_a_missing_key_is_refused(values: dict[str, Any]) -> None:
    del values["collect"]["batch_size"]
    for refuse in (
        lambda: declared(step("collect"), values, "params.yaml"),
        lambda: check(values, "params.yaml"),
    ):
        with pytest.raises(ConfigError, match=r"must hold collect\.batch_size.*unitmean configure"):
            refuse()


def test_a_section_nobody_knows_is_refused_where_all_is_read(values: dict[str, Any]) -> None:
    values["colect"] = {}
    with pytest.raises(ConfigError, match="'colect'.*did you mean collect"):
        declared(step("*"), values, "params.yaml")
    with pytest.raises(ConfigError, match="'colect'.*did you mean collect"):
        check(values, "params.yaml")


def test_dvc_yaml_declares_only_keys_that_exist(values: dict[str, Any]) -> None:
    for found in read_pipeline(ROOT).values():
        declared(found, values, "params.yaml")
    with pytest.raises(
        ConfigError, match=r"'collect\.batchsize' in dvc\.yaml's params of collect_statistics"
    ):
        declared(step("collect.batchsize"), values, "params.yaml")


def test_a_section_among_the_params_is_refused(values: dict[str, Any]) -> None:
    # DVC's cache of runs would ignore its keys `size` and `nfiles`.
    with pytest.raises(
        ConfigError, match="single keys.*'transfer' in the params of transfer_style.*key by key"
    ):
        declared(Step("transfer_style", (), (), ("transfer",)), values, "params.yaml")


@pytest.mark.parametrize("text", ["model: [", "a: 1\na: 2\n", "- 1\n", "\x00", ""])
def test_params_yaml_that_is_no_configuration(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"params\.yaml must.*unitmean configure"):
        check(read_params(tmp_path / "params.yaml"), "params.yaml")


def test_no_params_yaml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"params\.yaml must exist.*unitmean configure"):
        read_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("name", ["transfer.content", "dataset.path", "weights.url"])
def test_an_empty_text_is_a_mistake(values: dict[str, Any], name: str) -> None:
    section, _, key = name.partition(".")
    values[section][key] = ""
    with pytest.raises(ConfigError, match=rf"{name} must not be empty; found ''.*null"):
        check(values, "params.yaml")


@pytest.mark.parametrize(
    ("overrides", "key", "add"),
    [
        (["weights.path=x.pth"], "weights.path", "weights=file"),
        (["weights=torchvision", "weights.url=https://x/y"], "weights.url", "weights=url"),
        (["weights=file", "weights.path=x.pth", "weights.spread=1"], "weights.spread", "weights=seeded"),
        (["dataset.path=photos"], "dataset.path", "dataset=folder"),
        (["dataset.labels=val.txt"], "dataset.labels", "dataset=folder"),
        (["dataset=folder", "dataset.path=photos", "dataset.count=3"], "dataset.count", "dataset=generated"),
    ],
)
def test_what_would_not_be_read_is_refused(overrides: list[str], key: str, add: str) -> None:
    with pytest.raises(ConfigError) as error:
        check(as_values(compose(ROOT, overrides)), "the overrides")
    assert f"{key} must be given only where it is read" in str(error.value)
    assert f"add {add}, or leave {key} out" in str(error.value)


def test_weights_of_code_need_the_code() -> None:
    with pytest.raises(ConfigError, match=r"model.code must be given with weights.source=code"):
        check(as_values(compose(ROOT, ["weights=code"])), "the overrides")
