"""All stages on networks of other kinds: one that ends early, a residual one, one that is free in part."""

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from heads import conv2_1
from narrow import narrow
from pipeline_stages import SMALL, STAGES, run
from safetensors.torch import save_file
from scratch_project import copy_settings

from unitmean.graph.relations import RELATIONS
from unitmean.layouts.files import load_weights, save_weights
from unitmean.networks.architectures import build
from unitmean.networks.inputs import TORCHVISION
from unitmean.pipeline.stages.collect_statistics import collect_statistics
from unitmean.pipeline.stages.export_weights import export_weights
from unitmean.pipeline.stages.fetch_weights import fetch_weights
from unitmean.pipeline.stages.index_images import index_images
from unitmean.pipeline.stages.verify_invariance import verify_invariance

ON_A_NETWORK = [stage for stage in STAGES if stage is not index_images]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the images are indexed."""
    folder = copy_settings(tmp_path_factory.mktemp("project"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(patch, index_images, *SMALL)
    return folder


def test_a_network_without_a_head_is_normalised_to_its_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Published files often end at a feature map; its factors are recorded, and undone in the proof."""
    monkeypatch.chdir(folder)
    save_file(conv2_1(), tmp_path / "vgg11_conv2_1.safetensors")
    overrides = [
        "model=vgg11",
        "weights=file",
        f"weights.path={tmp_path}/vgg11_conv2_1.safetensors",
        "weights.input=torchvision",
        "transfer.content_layer=relu2_1",
        "transfer.style_layers=[relu1_1,relu2_1]",
        "transfer.optimiser=adam",
        "rescale.exports=[adain,torchvision]",
    ]
    for program in ON_A_NETWORK:
        run(monkeypatch, program, *SMALL, *overrides)
    found = json.loads((folder / "data/vgg11/proof.json").read_text())
    assert found["passed"] and found["top1_agreement"] is None and found["float64_difference"] < 1e-12
    means = pd.read_csv(folder / "data/vgg11/means.csv")
    assert list(means["site"].unique()) == ["relu1_1", "relu2_1"]
    live = means[means["status"] == "normalised"]
    assert len(live) > 150 and (live["mean_after"] - 1).abs().max() < 1e-3
    exports = folder / "data/vgg11/exports"
    assert sorted(path.name for path in exports.iterdir()) == [
        "README.md",
        "card.json", "vgg11_normalised_adain.pth", "vgg11_normalised_torchvision.pth",
    ]  # fmt: skip
    path = folder / "data/vgg11/normalised.safetensors"
    normalised, metadata = load_weights(path)
    assert metadata["rescale"]["outputs"] == "normalise"
    card = (exports / "README.md").read_text()
    code = textwrap.dedent(
        re.findall(r"(?m)(?:^    .*\n)+", card.partition("## Factors of the output")[2])[0]
    )
    read: dict[str, Any] = {}
    exec(code.replace("normalised.safetensors", str(path)), read)
    original, _ = load_weights(folder / "data/vgg11/weights.safetensors")
    x = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    before, after = (
        build("vgg11", state, input=TORCHVISION).module.double()(x) for state in (original, normalised)
    )
    undone = after * torch.tensor(read["factors"], dtype=torch.float64).view(-1, 1, 1)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(undone, before, rtol=1e-5, atol=1e-6 * float(before.max()))
    # The proof holds them against the table, so that a file can't undo its output wrongly.
    content = path.read_bytes()
    try:
        factors = [2.0, *read["factors"][1:]]
        rescale = metadata["rescale"] | {"output_factors": factors}
        save_weights(path, normalised, metadata | {"rescale": rescale})
        with pytest.raises(SystemExit):
            run(monkeypatch, verify_invariance, *SMALL, *overrides)
        words = capsys.readouterr().err
        assert "record: rescale.output_factors in the metadata of normalised.safetensors must be" in words
        assert "found [2.0, " in words and "…] of 128" in words
    finally:
        path.write_bytes(content)
        for program in (verify_invariance, export_weights):
            run(monkeypatch, program, *SMALL, *overrides)
    written = torch.load(exports / "vgg11_normalised_adain.pth", weights_only=True)
    assert torch.equal(written["6.weight"], normalised["features.3.weight"])
    assert "6 of generated" not in (exports / "README.md").read_text()
    assert "4 of generated" in (exports / "README.md").read_text()


def test_a_residual_network_shares_factors_along_its_stream(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    narrow(monkeypatch, "resnet18")
    for program in ON_A_NETWORK:
        run(monkeypatch, program, *SMALL, "model=resnet18")
    found = json.loads((folder / "data/resnet18/rescale.json").read_text())
    assert found["channels"] == 3904 // 8 and found["tied"] > 100 and found["pinned"] == 0
    assert json.loads((folder / "data/resnet18/proof.json").read_text())["passed"]
    assert "tied" in (folder / "data/resnet18/report.html").read_text()


def test_a_network_free_in_part_is_refused_before_it_is_measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    # All rectifiers of torchvision's networks are free, but for an engine that doesn't know linear layers.
    known = {name: relation for name, relation in RELATIONS.items() if name != "linear"}
    monkeypatch.setattr("unitmean.graph.relations.RELATIONS", known)
    run(monkeypatch, fetch_weights, *SMALL, "model=vgg11")
    (folder / "data/vgg11/statistics.parquet").unlink(missing_ok=True)  # another test's
    with pytest.raises(SystemExit):
        run(monkeypatch, collect_statistics, *SMALL, "model=vgg11")
    words = capsys.readouterr().err
    assert words.startswith("error: every channel of every rectifier must be free; relu5_2 has 0 of 512")
    assert "because linear in classifier.0 is not homogeneous, or not known to be" in words
    assert "rescale.strict=false" in words and not (folder / "data/vgg11/statistics.parquet").exists()


def test_a_network_without_rectifiers_is_refused_strict_or_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    settings = [*SMALL, "model=mobilenet_v2", "rescale.strict=false"]
    run(monkeypatch, fetch_weights, *settings)
    with pytest.raises(SystemExit):
        run(monkeypatch, collect_statistics, *settings)
    words = capsys.readouterr().err
    assert words.startswith("error: a network must have a rectifier") and "found none, but hardtanh" in words
