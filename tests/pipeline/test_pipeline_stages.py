"""All stages on a narrow AlexNet: what they write, what they refuse."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from narrow import narrow
from pipeline_stages import SMALL, STAGES, Program, run
from scratch_project import ROOT, copy_settings
from torch import Tensor

import unitmean
from unitmean.disk.digest import sha256
from unitmean.errors import DataError
from unitmean.layouts.files import load_weights, save_weights
from unitmean.pipeline.stages.export_hub import export_hub
from unitmean.pipeline.stages.export_weights import export_weights
from unitmean.pipeline.stages.report import report
from unitmean.pipeline.stages.rescale_weights import rescale_weights
from unitmean.pipeline.stages.transfer_style import transfer_style
from unitmean.pipeline.stages.verify_invariance import verify_invariance

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project in which all stages ran for alexnet."""
    folder = copy_settings(tmp_path_factory.mktemp("project"))
    with pytest.MonkeyPatch.context() as patch:
        narrow(patch, "alexnet")
        with patch.context() as here:
            here.chdir(folder)
            for program in STAGES:
                run(here, program, "model=alexnet", *SMALL)
        yield folder


@pytest.fixture
def data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder / "data" / "alexnet"


def verdict(
    patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *overrides: str
) -> tuple[int, str]:
    """verify_invariance's exit status and what it says."""
    try:
        run(patch, verify_invariance, "model=alexnet", *SMALL, *overrides)
    except SystemExit as end:
        return int(str(end.code)), capsys.readouterr().err
    return 0, capsys.readouterr().out


def test_the_proof_holds_and_the_report_says_so(data: Path) -> None:
    found = json.loads((data / "proof.json").read_text())
    assert found["passed"] and found["float64_difference"] < 1e-12 and found["max_mean_error"] < 1e-3
    assert found["top1_agreement"] == 1.0 and found["compared_images"] == 1 and found["heldout_images"] == 2
    means = pd.read_csv(data / "means.csv")
    live = means[means["status"] == "normalised"]
    assert len(live) > 600 and (live["mean_after"] - 1).abs().max() < 1e-3
    assert live["mean_before"].max() / live["mean_before"].min() > 1e3
    page = (data / "report.html").read_text()
    assert "Invariant, and normalised where channels are active" in page and 'src="http' not in page


def test_every_plot_of_dvc_yaml_has_its_columns_and_its_template(data: Path) -> None:
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    plots = {Path(path).name: plot for entry in pipeline["plots"] if isinstance(entry, dict)
             for path, plot in entry.items()}  # fmt: skip
    assert {"means.csv", "layers.csv", "losses.csv", "convergence.csv", "audit_candidates.csv"} == set(plots)
    for name, plot in plots.items():
        y = plot["y"] if isinstance(plot["y"], list) else [plot["y"]]
        assert {plot["x"], *y} <= set(pd.read_csv(data / name).columns)
        template = ROOT / ".dvc" / "plots" / f"{plot['template']}.json"
        if plot["template"].startswith("log_"):
            assert json.loads(template.read_text())["encoding"]["y"]["scale"] == {"type": "log"}
        else:
            assert plot["template"] == "bar_horizontal_sorted"


def test_sites_have_the_papers_names(data: Path) -> None:
    table = pd.read_parquet(data / "statistics.parquet")
    assert list(table["site"].unique()) == [f"relu{i}" for i in range(1, 8)]
    assert list(table.columns) == [
        "site", "channel", "images", "mean", "standard_error", "std", "maximum", "active_fraction",
        "correction", "precision_error",
    ]  # fmt: skip
    assert set(table["images"]) == {4}


def test_provenance_travels_with_the_file(data: Path) -> None:
    _, metadata = load_weights(data / "normalised.safetensors")
    assert metadata["source"] == {"kind": "seeded", "seed": 0, "spread": 3.0}
    statistics = metadata["statistics"]
    assert statistics["images"] == 4 and len(statistics["index"]) == 64 and len(statistics["weights"]) == 64
    assert statistics["preprocess"]["pixels"] == 96 and metadata["rescale"]["outputs"] == "preserve"
    assert statistics["torch"] == torch.__version__


def divided_only(old: State, new: State, factor: State) -> State:
    """Each layer divided by its means, and nothing multiplied back: what short answers on the web do."""
    for layer, site in CONVOLUTIONS.items():
        for kind in ("weight", "bias"):
            tensor = old[f"{layer}.{kind}"]
            new[f"{layer}.{kind}"] = tensor / factor[site].view(-1, *[1] * (tensor.ndim - 1))
    return new


def head_forgotten(old: State, new: State, _: object) -> State:
    return new | {key: value for key, value in old.items() if key.startswith("classifier")}


def factor_dropped(_: object, new: State, factor: State) -> State:
    new["features.3.weight"][:, 5] /= factor["relu1"][5]
    return new


def weight_flipped(_: object, new: State, __: object) -> State:
    new["features.6.weight"][3, 2, 1, 1] *= -1
    return new


CONVOLUTIONS = {f"features.{i}": f"relu{n}" for n, i in enumerate((0, 3, 6, 8, 10), start=1)}


@pytest.mark.parametrize(
    ("fault", "layer"),
    [
        (divided_only, "features.0.weight"),
        (head_forgotten, "classifier.1.weight"),
        (factor_dropped, "features.3.weight"),
        (weight_flipped, "features.6.weight"),
    ],
)
def test_a_wrong_file_fails_the_stage(
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: Callable[..., State],
    layer: str,
) -> None:
    path = data / "normalised.safetensors"
    before = {file: file.read_bytes() for file in data.iterdir() if file.is_file()}
    new, metadata = load_weights(path)
    table = pd.read_parquet(data / "factors.parquet")
    factor = {site: torch.tensor(rows["factor"].to_numpy()).float() for site, rows in table.groupby("site")}
    try:
        save_weights(path, fault(load_weights(data / "weights.safetensors")[0], new, factor), metadata)
        assert (data / "exports").is_dir() and (data / "hub").is_dir()
        status, words = verdict(monkeypatch, capsys)
        assert not (data / "exports").exists() and not (data / "hub").exists()
    finally:
        for file, content in before.items():
            file.write_bytes(content)
        run(monkeypatch, export_weights, "model=alexnet", *SMALL)
        run(monkeypatch, export_hub, "model=alexnet", *SMALL)
    assert status == 1 and words.startswith("error: the rescaled network is not proved")
    assert layer in words and "Traceback" not in words
    assert "float32 must differ by at most" in words


def test_a_file_that_says_wrongly_what_it_was_made_from_fails_the_stage(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = data / "normalised.safetensors"
    before = {file: file.read_bytes() for file in data.iterdir() if file.is_file()}
    state, metadata = load_weights(path)
    statistics = metadata["statistics"]
    preprocess = statistics["preprocess"] | {"pixels": 224}
    wrong = metadata | {
        "statistics": statistics | {"images": 50_000, "weights": "0" * 64, "preprocess": preprocess},
        "rescale": metadata["rescale"] | {"statistic": "std"},
        "source": {"kind": "torchvision"},
    }
    try:
        save_weights(path, state, wrong)
        status, words = verdict(monkeypatch, capsys)
        failures = json.loads((data / "proof.json").read_text())["failures"]
    finally:
        for file, content in before.items():
            file.write_bytes(content)
        run(monkeypatch, export_weights, "model=alexnet", *SMALL)
        run(monkeypatch, export_hub, "model=alexnet", *SMALL)
    assert status == 1 and "record: source.kind in the metadata of normalised.safetensors" in words
    for key in (
        "statistics.images",
        "statistics.weights",
        "statistics.preprocess.pixels",
        "rescale.statistic",
        "source.kind",
    ):
        assert any(f.startswith(f"record: {key} in the metadata of normalised") for f in failures), key
    of_shards = [f for f in failures if f.startswith("record: images in the metadata of shards.parquet")]
    assert of_shards and "must be 50000; found 4" in of_shards[0]  # whichever of them is right


def test_powers_of_two_leave_every_bit_of_the_output(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {path: path.read_bytes() for path in data.iterdir() if path.is_file()}
    try:
        run(monkeypatch, rescale_weights, "model=alexnet", *SMALL, "rescale.rounding=pow2")
        assert "channels normalised up to a power of two" in capsys.readouterr().out
        status, words = verdict(monkeypatch, capsys, "rescale.rounding=pow2")
        found = json.loads((data / "proof.json").read_text())
        factors = torch.tensor(pd.read_parquet(data / "factors.parquet")["factor"].to_numpy())
    finally:
        for path, content in files.items():
            path.write_bytes(content)
    assert status == 0, words
    assert found["bit_identical"] and found["float64_difference"] == found["float32_difference"] == 0
    assert torch.equal(factors.log2(), factors.log2().round()) and len(factors.unique()) > 5


def test_style_transfer_says_how_layers_share_the_loss(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = ["transfer.init=noise", "transfer.layer_weights=authors"]
    more += ["transfer.preview=1", "transfer.min_decrease=0", "transfer.steps=4"]
    run(monkeypatch, transfer_style, "model=alexnet", *SMALL, *more)
    found, layers = json.loads((data / "transfer.json").read_text()), pd.read_csv(data / "style.csv")
    assert list(layers["layer"]) == [f"relu{i}" for i in range(1, 6)]
    for name in ("plain", "normalised", "plain_authors"):
        losses = layers[name]
        assert layers[f"{name}_share"].sum() == pytest.approx(1, rel=1e-4)
        assert 10 ** found[f"{name}_orders"] == pytest.approx(losses.max() / losses.min(), rel=1e-3)
        loud = losses * layers[f"{name}_retuning"]
        assert list(loud) == pytest.approx([losses.max()] * 5, rel=1e-4)
    assert found["normalised_orders"] < found["plain_orders"]
    assert {"plain_00001.png", "normalised_00002.png"} <= {p.name for p in (data / "transfer").iterdir()}


def test_a_style_transfer_that_falls_too_little_fails_and_is_reported(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, transfer_style, "model=alexnet", *SMALL, "transfer.min_decrease=1")
    assert "must fall by 100%" in capsys.readouterr().err
    run(monkeypatch, report, "model=alexnet", *SMALL)
    assert "FELL TOO LITTLE" in capsys.readouterr().out
    assert "the stage failed" in (data / "report.html").read_text()


def test_style_transfer_can_be_switched_off(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, transfer_style, "model=alexnet", *SMALL, "transfer=none")
    assert "not asked for" in capsys.readouterr().out
    assert json.loads((data / "transfer.json").read_text()) == {}
    assert [path.name for path in (data / "transfer").iterdir()] == ["nothing.txt"]
    run(monkeypatch, report, "model=alexnet", *SMALL)
    assert "No style transfer was asked for" in (data / "report.html").read_text()


def test_without_exports_only_the_card_is_written(data: Path) -> None:
    assert [path.name for path in sorted((data / "exports").iterdir())] == ["README.md", "card.json"]
    assert "random numbers: no licence needed" in (data / "exports" / "README.md").read_text()


def test_a_folder_for_the_hub_is_whole_and_can_be_loaded(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = pytest.importorskip("huggingface_hub").ModelCard
    assert [path.name for path in (data / "hub").iterdir()] == ["nothing.txt"]  # nobody asked for it
    run(monkeypatch, transfer_style, "model=alexnet", *SMALL)
    files = "README.md config.json means.png model.safetensors preview.png report.html".split()
    try:
        run(monkeypatch, export_hub, "model=alexnet", *SMALL, "+exports=hub", "hub.base_model=owner/alexnet")
        assert "ready to be uploaded" in capsys.readouterr().out
        assert sorted(path.name for path in (data / "hub").iterdir()) == files
        found = card.load(data / "hub" / "README.md")
        config = json.loads((data / "hub" / "config.json").read_text())
        image = torch.rand(1, 3, 96, 96)
        network = unitmean.load(data / "hub")
        of_folder = network(image)
    finally:
        run(monkeypatch, export_hub, "model=alexnet", *SMALL)
    assert found.data.license == "cc0-1.0" and found.data.base_model == "owner/alexnet"
    assert {result.metric_type for result in found.data.eval_results} >= {
        "output_change_float64",
        "mean_error",
    }
    assert 'unitmean.load("hf://OWNER/NAME")' in found.text and "![" in found.text
    assert config["architecture"] == "alexnet" and config["pooling"] == "max"
    assert config["sha256"] == sha256(data / "normalised.safetensors")
    network = unitmean.load(data / "normalised.safetensors")
    assert torch.equal(of_folder, network(image))
    assert [path.name for path in (data / "hub").iterdir()] == ["nothing.txt"]


def test_what_is_of_other_weights_is_neither_reported_nor_uploaded(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, transfer_style, "model=alexnet", *SMALL)
    run(monkeypatch, report, "model=alexnet", *SMALL)
    digest = sha256(data / "normalised.safetensors")
    page = data / "report.html"
    right = page.read_text()
    page.write_text(right.replace(digest, "0" * 64))
    for program, path, stage in (
        (export_hub, None, "report"),
        (report, data / "transfer" / "settings.json", "transfer_style"),
        (report, data / "exports" / "card.json", "export_weights"),
        (report, data / "proof.json", "verify_invariance"),
    ):
        kept = path.read_text() if path else ""
        if path:
            key = "factors" if path.name == "proof.json" else "sha256"
            path.write_text(json.dumps(json.loads(kept) | {key: "0" * 64}))
        with pytest.raises(SystemExit):
            run(monkeypatch, program, "model=alexnet", *SMALL, "+exports=hub")
        assert stage in (words := capsys.readouterr().err) and "again, or `dvc repro`" in words
        if path:
            path.write_text(kept)
    page.write_text(right)


def _diverging(*_: object, **__: object) -> None:
    raise DataError("the loss must stay finite; found inf")


def test_a_style_transfer_that_fails_leaves_nothing_of_an_earlier_one(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, transfer_style, "model=alexnet", *SMALL)
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(sys.modules[transfer_style.__module__], "stylise", _diverging)
        run(monkeypatch, transfer_style, "model=alexnet", *SMALL)
    assert "must stay finite" in capsys.readouterr().err
    assert not any(
        (data / name).exists() for name in ("transfer", "transfer.json", "losses.csv", "style.csv")
    )
    with pytest.raises(SystemExit):
        run(monkeypatch, report, "model=alexnet", *SMALL)
    run(monkeypatch, transfer_style, "model=alexnet", *SMALL)


def test_a_proof_that_fails_to_be_made_leaves_no_earlier_one(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = data / "shards.parquet"
    whole = shards.read_bytes()
    shards.write_bytes(whole[:-100])
    assert (data / "proof.json").exists()
    status, words = verdict(monkeypatch, capsys)
    assert status == 1 and "shards.parquet" in words
    assert not any((data / name).exists() for name in ("proof.json", "invariance.json", "means.csv"))
    with pytest.raises(SystemExit):
        run(monkeypatch, report, "model=alexnet", *SMALL)
    assert "proof.json" in capsys.readouterr().err
    shards.write_bytes(whole)
    assert verdict(monkeypatch, capsys)[0] == 0


def test_a_folder_in_a_files_place_is_left_alone(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "means.csv").unlink()
    (data / "means.csv").mkdir()
    (data / "means.csv" / "kept").touch()
    status, words = verdict(monkeypatch, capsys)
    assert status == 1 and "means.csv" in words and "move what is in its way" in words
    (data / "means.csv" / "kept").unlink()
    (data / "means.csv").rmdir()
    assert verdict(monkeypatch, capsys)[0] == 0


def test_an_export_that_does_not_fit_stops_the_stage(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (data / "exports" / "README.md").read_bytes()
    with pytest.raises(SystemExit):
        run(monkeypatch, export_weights, "model=alexnet", *SMALL, "rescale.exports=[adain]")
    words = capsys.readouterr().err
    assert "rescale.exports=adain doesn't fit" in words and "choose from onnx, torchvision" in words
    assert (data / "exports" / "README.md").read_bytes() == before


def test_what_is_not_proved_is_not_exported(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, old = data / "proof.json", (data / "exports" / "README.md").read_bytes()
    right = path.read_text()
    for wrong in ({"passed": False}, {"sha256": "0" * 64}):
        path.write_text(json.dumps(json.loads(right) | wrong))
        with pytest.raises(SystemExit):
            run(monkeypatch, export_weights, "model=alexnet", *SMALL, "rescale.exports=[torchvision]")
        assert "only weights that are proved may be exported" in capsys.readouterr().err
        assert (data / "exports" / "README.md").read_bytes() == old
    path.write_text(right)


@pytest.mark.parametrize("program", [export_weights, export_hub])
@pytest.mark.parametrize("other", ["model.pooling=avg", "preprocess.pixels=64"])
def test_what_was_proved_under_other_settings_is_not_exported(
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    program: Program,
    other: str,
) -> None:
    before = {path: path.read_bytes() for path in sorted((data / "exports").iterdir())}
    with pytest.raises(SystemExit):
        run(monkeypatch, program, "model=alexnet", *SMALL, "rescale.exports=[onnx]", "+exports=hub", other)
    words = capsys.readouterr().err
    assert "only under the settings that they are proved with" in words and f"found {other}" in words
    assert {path: path.read_bytes() for path in sorted((data / "exports").iterdir())} == before


def test_a_report_of_other_settings_says_what_was_measured(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, report, "model=alexnet", *SMALL, "model.pooling=avg", "preprocess.pixels=64")
    page = (data / "report.html").read_text()
    assert "zeros padding and max pooling" in page and "avg pooling" not in page


@pytest.mark.parametrize(
    ("program", "more"), [(export_weights, "rescale.exports=[torchvision]"), (export_hub, "+exports=hub")]
)
@pytest.mark.parametrize(
    "wrong", ["model.pooling=avg", "model.padding=reflect", "preprocess.antialias=false"]
)
def test_nothing_is_exported_under_other_settings_than_the_proofs(
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    program: Callable[[], None],
    more: str,
    wrong: str,
) -> None:
    before = (data / "exports" / "README.md").read_bytes()
    with pytest.raises(SystemExit):
        run(monkeypatch, program, "model=alexnet", *SMALL, more, wrong)
    words = capsys.readouterr().err
    assert "only under the settings that they are proved with" in words
    assert f"found {wrong}" in words
    assert (data / "exports" / "README.md").read_bytes() == before
    assert [path.name for path in (data / "hub").iterdir()] == ["nothing.txt"]


def test_the_report_says_how_the_file_was_measured_whatever_the_settings_say(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, report, "model=alexnet", *SMALL)
    right = (data / "report.html").read_text()
    assert "alexnet, max pooling, zeros padding" in right and "pixels 96" in right
    run(monkeypatch, report, "model=alexnet", *SMALL, "model.pooling=avg", "preprocess.pixels=64")
    assert (data / "report.html").read_text() == right
    (data.parent / "other").mkdir(exist_ok=True)
    (data.parent / "other" / "images").symlink_to(data.parent / "generated" / "images")
    try:
        with pytest.raises(SystemExit):
            run(monkeypatch, report, "model=alexnet", *SMALL, "dataset.name=other")
    finally:
        (data.parent / "other" / "images").unlink()
        (data.parent / "other").rmdir()
    assert "dataset.name=generated; found dataset.name=other" in capsys.readouterr().err
    assert (data / "report.html").read_text() == right


def test_docs_tables_has_every_table_and_column(data: Path) -> None:
    page = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    sections = re.split(r"(?m)^## ", page)[1:]
    documented = {s.split("\n", 1)[0]: re.findall(r"(?m)^\| `([^`]+)` \|", s) for s in sections}
    parquet, text = data.parent.rglob("*.parquet"), data.parent.rglob("*.csv")
    written = {path.name: list(pq.read_schema(path).names) for path in parquet}
    written |= {path.name: list(pd.read_csv(path).columns) for path in text}
    assert sorted(documented) == sorted(written)
    for name, columns in written.items():
        general = [re.sub(r"(_content|_style)_.+", r"\1_<layer>", column) for column in columns]
        assert list(dict.fromkeys(general)) == documented[name], name
