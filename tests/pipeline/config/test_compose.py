"""Overrides compose, or are refused in words."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from torchvision import models

from unitmean.errors import ConfigError
from unitmean.pipeline.config.check import check
from unitmean.pipeline.config.compose import as_values, compose, groups
from unitmean.pipeline.config.conf_sha import conf_sha
from unitmean.pipeline.config.files import require_files
from unitmean.pipeline.config.keys import all_keys, convert, needs
from unitmean.pipeline.config.networks import NETWORKS
from unitmean.pipeline.config.params import read_params
from unitmean.pipeline.stages.config import require_in_step

ROOT = Path(__file__).resolve().parents[3]


def test_params_yaml_is_in_step_with_conf() -> None:
    # Not that it is the default: a commit may hold a variant, which CI then runs.
    require_in_step(read_params(ROOT / "params.yaml"), ROOT / "conf")


def test_every_choice_of_every_group_composes() -> None:
    given = {
        "dataset": {"url": ["dataset.url=http://u", "dataset.digest=abcdef01"], "path": ["dataset.path=/x"]},
        "weights": {
            "url": ["weights.url=http://u", "weights.sha256=abcdef01"],
            "file": ["weights.path=w"],
            "code": ["model.code=nets.py"],
        },
    }
    paths = {"folder", "ilsvrc_val", "parquet", "webdataset", "gatys2016", "style"}
    for group, choices in groups(ROOT / "conf").items():
        for choice in choices:
            if not (ROOT / "conf" / group / f"{choice}.yaml").exists():
                continue  # a network without a file: see below
            plus = "+" if group in ("experiment", "exports") else ""
            more = given.get(group, {}).get(choice, [])
            more += given["dataset"]["path"] if group in ("dataset", "experiment") and choice in paths else []
            check(as_values(compose(ROOT, [f"{plus}{group}={choice}", *more])), "the test")


def test_every_network_of_torchvision_is_offered() -> None:
    names = models.list_models(module=models)
    assert sorted(NETWORKS) == sorted(names) and set(names) <= set(groups(ROOT / "conf")["model"])
    with pytest.raises(ConfigError, match="model must be one of") as caught:
        compose(ROOT, ["model=zzz"])
    assert [name for name in names if name not in re.findall(r"\w+", str(caught.value))] == []


@pytest.mark.parametrize("name", ["resnet18", "wide_resnet50_2", "vit_b_16"])
def test_a_network_needs_no_file(name: str) -> None:
    assert not (ROOT / "conf/model" / f"{name}.yaml").exists()
    expected = as_values(compose(ROOT, [f"model.name={name}"]))
    assert as_values(compose(ROOT, [f"model={name}"])) == expected


def test_a_file_of_a_networks_name_is_taken_instead(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "conf/model/googlenet.yaml").write_text("name: googlenet\npooling: avg\n")
    code = (
        "import sys, pathlib; from unitmean.pipeline.config.compose import compose;"
        "print(compose(pathlib.Path(sys.argv[1]), ['model=googlenet']))"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert yaml.safe_load(result.stdout)["model"] == {
        "name": "googlenet",
        "code": None,
        "pooling": "avg",
        "padding": "zeros",
    }


def test_the_paper_is_one_preset() -> None:
    values = as_values(compose(ROOT, ["+experiment=gatys2016", "dataset.path=/data/ILSVRC2012_img_val.tar"]))
    assert values["model"]["name"] == "vgg19"
    assert values["weights"]["source"] == "caffe"
    assert values["dataset"]["source"] == "ilsvrc_val" and values["dataset"]["expected"] == 50000
    assert values["dataset"]["path"] == "/data/ILSVRC2012_img_val.tar"
    assert values["preprocess"] == {"resize": "warp", "pixels": 224, "crop": None, "antialias": True}


def test_groups_choose_and_keys_override_them() -> None:
    values = as_values(
        compose(ROOT, ["dataset=folder", "dataset.path=/x", "dataset.name=mine", "model=alexnet"])
    )
    assert values["dataset"]["source"] == "folder" and values["dataset"]["name"] == "mine"
    assert values["transfer"]["content_layer"] == "relu4"  # alexnet has no relu4_2


def test_what_conf_holds_may_go_unread_and_what_is_typed_may_not(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    with (tmp_path / "conf" / "config.yaml").open("a") as file:
        file.write("rescale: {quantile: 0.9}\ntransfer: {seed: 7}\nhub: {licence: mit}\n")
    assert as_values(compose(tmp_path, ["transfer=none"]))["rescale"]["quantile"] == 0.9
    for typed in (["rescale.quantile=0.9"], ["transfer=smoke", "transfer.rate=0.5"], ["hub.licence=mit"]):
        with pytest.raises(ConfigError, match=rf"{typed[-1].partition('=')[0]} must be given only where"):
            compose(tmp_path, typed)
    for read in (
        ["rescale.quantile=0.9", "rescale.statistic=quantile", "collect.histograms=true"],
        ["transfer.rate=0.1", "transfer.optimiser=adam"],
        ["collect.target_share=0.5", "collect.target_standard_error=0.0"],
        ["hub.licence=mit", "hub.enabled=true"],
        ["transfer=none", "transfer.steps=7", "transfer.rate=0.1"],  # switched off by the same hand
        ["rescale.statistic=mean", "rescale.quantile=0.9"],
    ):
        compose(tmp_path, read)


def test_what_a_key_needs_is_a_value_of_its_section() -> None:
    for section, key in (name.split(".") for name in all_keys()):
        for other, value in needs(section, key).items():
            assert value is None or convert(section, other, value, "the schema") == value


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model=vgg99", ["model must be one of 80 choices", "'vgg99'", "did you mean vgg19"]),
        ("modle=vgg16", ["group", "'modle'", "did you mean model?"]),
        ("+modle=vgg16", ["group", "'modle'", "did you mean model?"]),
        ("zzz=1", ["group", "'zzz'", "the groups are dataset, experiment, exports, model"]),
        ("dataset=imagenet", ["folder, generated, ilsvrc_val", "'imagenet'"]),
        ("dataset=3", ["folder, generated, ilsvrc_val", "3"]),
        ("dataset.subst=5", ["'dataset.subst'", "did you mean dataset.subset"]),
        ("++dataset.subst=5", ["'dataset.subst'", "did you mean dataset.subset"]),
        ("colect.batch_size=5", ["'colect.batch_size'", "did you mean collect.batch_size"]),
        ("dataset.subset=abc", ["dataset.subset must be a whole number or null", "abc"]),
        ("collect.batch_size=1.5", ["collect.batch_size must be a whole number", "1.5"]),
        ("model.pooling=mx", ["model.pooling must be one of max, avg", "mx"]),
        ("transfer.style_layers=relu1_1", ["transfer.style_layers must be a list", "relu1_1"]),
        ("dataset.subset=0", ["dataset.subset must be at least 1", "0"]),
        (
            "rescale.max_dead_fraction=2",
            ["rescale.max_dead_fraction must be at least 0 and at most 1", "2.0"],
        ),
        ("verify.max_mean_ratio=nan", ["verify.max_mean_ratio must be at least 0", "nan"]),
        ("preprocess.crop=500", ["preprocess.crop must be at most preprocess.pixels=224", "500"]),
        ("dataset.name=a/b", ["dataset.name must be a name", "a/b"]),
        ("dataset=folder", ["dataset.path must be given with dataset.source=folder", "None"]),
        ("weights=url", ["weights.url must be given with weights.source=url", "None"]),
        ("experiment=gatys2016", ["write +experiment=gatys2016"]),
        (
            "+experiment=gatys",
            ["experiment must be one of gatys2016, style", "'gatys'", "did you mean gatys2016"],
        ),
        ("+model=vgg16", ["chosen once", "without the +"]),
        ("+model.name=vgg16", ["without the +"]),
        ("model=vgg16,vgg19", ["one value", "dvc exp run --queue"]),
        ("hydra.verbose=true", ["one value", "hydra.verbose"]),
        ("~transfer.seed", ["can't be removed"]),
        ("model@foo=vgg16", ["can't be removed or moved"]),
        ("model", ["key=value", "'model'"]),
        ("vgg16", ["'vgg16' (no =)", "did you mean model=vgg16?"]),
        ("model=VGG16", ["found 'VGG16'", "did you mean vgg16"]),
        ("model=mine", ["name its file, too, by model.code"]),
        ("dataset.digest=zz", ["dataset.digest must be a sha256", "md5:", "'zz'"]),
        ("weights.sha256=zz", ["weights.sha256 must be a sha256", "'zz'"]),
        ("dataset.url=ftp://x/y.tar", ["dataset.url must be an address", "https://", "'ftp://x/y.tar'"]),
    ],
)
def test_a_wrong_override_is_refused_in_words(override: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(ROOT, [override])
    message = str(caught.value)
    assert [word for word in words if word not in message] == []
    assert message.count("\n") == 0


def test_a_preset_of_a_model_sets_other_sections() -> None:
    assert as_values(compose(ROOT, ["model=inception_v3"]))["preprocess"]["pixels"] == 299
    assert as_values(compose(ROOT, ["model=alexnet", "transfer=picture"]))["transfer"]["pixels"] == 512


def test_a_choice_that_another_file_undoes_is_refused(tmp_path: Path) -> None:
    undone = ["model=inception_v3", "preprocess=torchvision"]
    with pytest.raises(ConfigError, match="preprocess.pixels=256; found .* sets 299.*preprocess.pixels=…"):
        compose(ROOT, undone)
    compose(ROOT, [*undone, "preprocess.pixels=342", "preprocess.crop=299"])
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    with (tmp_path / "conf" / "config.yaml").open("a") as file:
        file.write("transfer: {steps: 7}\n")
    (tmp_path / "conf" / "dataset" / "mine.yaml").write_text(
        "# @package _global_\ndataset: {source: generated, count: 9}\npreprocess: {pixels: 99}\n"
    )
    with pytest.raises(ConfigError, match="transfer=picture must take effect.*steps=200; found .* sets 7"):
        compose(tmp_path, ["transfer=picture"])
    with pytest.raises(ConfigError, match="dataset=mine must take effect.*pixels=99; found .* sets 224"):
        compose(tmp_path, ["dataset=mine"])
    assert as_values(compose(tmp_path, []))["transfer"]["steps"] == 7
    (tmp_path / "conf" / "dataset" / "asks.yaml").write_text("source: folder\npath: ???\n")
    (tmp_path / "conf" / "experiment" / "x.yaml").write_text("# @package _global_\ndataset: {path: /x}\n")
    assert as_values(compose(tmp_path, ["+experiment=x", "dataset=asks"]))["dataset"]["path"] == "/x"


def test_what_the_composition_writes_is_set_by_nobody_else(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="meta.images must be left to the composition.*found 'abc'"):
        compose(ROOT, ["meta.images=abc"])
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "conf" / "experiment" / "x.yaml").write_text("# @package _global_\nmeta: {conf_sha: abc}\n")
    with pytest.raises(ConfigError, match="meta.conf_sha must be left to the composition.*found 'abc'"):
        compose(tmp_path, ["+experiment=x"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("model: vgg19", "model: nonesuch", "conf/config.yaml must fit .*Could not find 'model/nonesuch'"),
        ("  - schema\n", "", "no model.code: let the defaults of conf/config.yaml begin with `- schema`"),
    ],
)
def test_a_wrong_default_is_told(tmp_path: Path, old: str, new: str, words: str) -> None:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    path = tmp_path / "conf" / "config.yaml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=words):
        compose(tmp_path)


def test_a_file_that_is_not_chosen_is_not_blamed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "conf/dataset/unrelated.yaml").write_text("a: [\n")
    with pytest.raises(ConfigError, match='found "Multiple values for experiment'):
        compose(tmp_path, ["+experiment=style", "+experiment=gatys2016"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("typo: [\n", "must be YAML; found: while parsing a flow node .*line 2, column 1"),
        ("source: folder\n\tpath: x\n", "must be YAML; found: .*'.t' that cannot start"),
        ("path: a\npath: b\n", "must be YAML; found: .*duplicate key path"),
        ("path: \udcff\n", "must be YAML; found: .*can't decode byte 0xff"),
        ("paht: x\n", "must fit the schema; found: Key 'paht' not in 'Dataset'"),
        ("subset: many\n", "must fit the schema; found: Value 'many' .* could not be converted to Integer"),
        (
            "# @package _global_\nmodle:\n  name: x\n",
            "must fit the schema; found: Key 'modle' not in 'Config'",
        ),
    ],
)
def test_a_file_of_conf_that_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "conf/dataset/mine.yaml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=f"conf/dataset/mine.yaml {words}.*: mend it there"):
        compose(tmp_path, ["dataset=mine"])


def test_quotes_hold_special_characters() -> None:
    assert as_values(compose(ROOT, ["dataset=folder", "dataset.path='/a=b'"]))["dataset"]["path"] == "/a=b"


@pytest.mark.parametrize(
    "path",
    [
        "/w/epoch=9-step=99.ckpt",
        "/照片",
        "~/photos",
        "/a,b",
        "/a (1)/b c",
        "/a#b",
        "/it's",
        "C:\\a\\",
        "/a:[1]{2}",
    ],
)
def test_a_path_needs_no_quotes_of_its_own(path: str) -> None:
    values = as_values(compose(ROOT, ["dataset=folder", f"dataset.path={path}"]))
    assert values["dataset"]["path"] == path


def test_digits_stay_as_they_were_typed() -> None:
    assert (
        as_values(compose(ROOT, ["weights=file", "weights.path=w", "weights.sha256=0012345e78"]))["weights"][
            "sha256"
        ]
        == "0012345e78"
    )


@pytest.mark.parametrize(
    "overrides",
    [
        ["transfer.content=missing"],
        ["transfer.style=missing"],
        ["dataset=folder", "dataset.path=missing"],
        ["dataset=folder", "dataset.path=.", "dataset.labels=missing"],
        ["weights=file", "weights.path=missing"],
    ],
)
def test_a_file_that_is_missing_is_refused_before_any_work(overrides: list[str], tmp_path: Path) -> None:
    values = as_values(compose(ROOT, overrides))
    with pytest.raises(ConfigError, match=f"{overrides[-1].partition('=')[0]} must name.*missing"):
        require_files(values, tmp_path, "params.yaml")
    (tmp_path / "missing").mkdir()
    require_files(values, tmp_path, "params.yaml")


def test_of_wildcards_something_must_be_there(tmp_path: Path) -> None:
    for name in ("train-*.tar", "train-{000..001}.tar"):
        values = as_values(compose(ROOT, ["dataset=webdataset", f"dataset.path={name}"]))
        with pytest.raises(ConfigError, match="dataset.path must name something that exists"):
            require_files(values, tmp_path / "empty", "params.yaml")
        (tmp_path / "train-000.tar").touch()
        require_files(values, tmp_path, "params.yaml")
    values = as_values(compose(ROOT, ["transfer.content=picture[1].jpg"]))
    with pytest.raises(ConfigError, match=r"transfer.content must name.*picture\[1\]"):
        require_files(values, tmp_path, "params.yaml")
    values = as_values(compose(ROOT, ["dataset=webdataset", "dataset.path=s3://bucket/train-*.tar"]))
    require_files(values, tmp_path, "params.yaml")


def test_nothing_is_left_for_dvc_to_resolve() -> None:
    text = compose(ROOT)
    assert "${" not in text and "???" not in text
    assert yaml.safe_load(text)["meta"]["conf_sha"] == conf_sha(ROOT / "conf")


def test_conf_sha_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: 1\n")
    first = conf_sha(tmp_path)
    (tmp_path / "a.yaml").write_text("x: 2\n")
    second = conf_sha(tmp_path)
    (tmp_path / "a.yaml").rename(tmp_path / "b.yaml")
    third = conf_sha(tmp_path)
    (tmp_path / "notes.txt").write_text("not configuration")
    assert len({first, second, third}) == 3 and conf_sha(tmp_path) == third


def test_a_former_name_of_a_key_sets_the_present_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert compose(ROOT, ["dataset.size=64"]) == compose(ROOT, ["dataset.pixels=64"])
    assert "dataset.size is called dataset.pixels now" in capsys.readouterr().err
