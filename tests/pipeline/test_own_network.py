"""All stages on a network that a user's own code makes."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from own_code import write_code
from pipeline_stages import SMALL, STAGES, run
from scratch_project import copy_settings

from unitmean.layouts.files import load_weights
from unitmean.networks.own import own_network
from unitmean.pipeline.index.batches import pixel_batches, unit
from unitmean.pipeline.index.index import load_index
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.stages.collect_statistics import collect_statistics
from unitmean.pipeline.stages.export_weights import export_weights
from unitmean.pipeline.stages.fetch_weights import fetch_weights
from unitmean.pipeline.stages.index_images import index_images
from unitmean.pipeline.stages.rescale_weights import rescale_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with code of one's own, in which the images are indexed."""
    folder = copy_settings(tmp_path_factory.mktemp("project"))
    write_code(folder / "mine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(patch, index_images, *SMALL)
    return folder


def test_a_network_of_ones_own_goes_through_all_stages(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    own = ["model.name=net", "model.code=mine/nets.py", "weights=code", "weights.input=unit"]
    settings = [*SMALL, *own, "rescale.exports=[onnx,torchvision]"]
    for program in STAGES:
        run(monkeypatch, program, *settings)
    made = folder / "data" / "net"
    assert json.loads((made / "proof.json").read_text())["passed"]
    original, metadata = load_weights(made / "weights.safetensors")
    assert metadata["source"] == {"kind": "code", **metadata["code"]} and metadata["layout"] == "own"
    normalised, metadata = load_weights(made / "normalised.safetensors")
    assert metadata["model"] == "net" and metadata["code"]["file"] == "nets.py"
    assert metadata["statistics"]["model"]["code"] == metadata["code"]
    # Independently: the code's own network with both weights, and the means of its rectifiers.
    network = own_network(f"{folder}/mine/nets.py:net")
    pictures = torch.rand(2, 3, 96, 96)
    seen: dict[str, torch.Tensor] = {}
    network.get_submodule("one.2").register_forward_hook(
        lambda module, inputs, output: seen.update(relu=output.detach())
    )
    network.load_state_dict(original)
    before = network(pictures)
    network.load_state_dict(normalised)
    torch.testing.assert_close(network(pictures), before)
    rows = load_index(folder / "data/generated/images/index.parquet").head(4)
    shown = [unit(batch) for batch in pixel_batches(rows, Preprocessing("warp", 96, None, True), 4)]
    network(torch.cat(shown))
    factors = pd.read_parquet(made / "factors.parquet")
    live = (factors[factors["site"] == "one.2"]["status"] == "normalised").to_numpy()
    assert live.any()
    means = seen["relu"].double().mean((0, 2, 3))[torch.tensor(live)]
    torch.testing.assert_close(means, torch.ones_like(means), rtol=1e-5, atol=0)
    card = (made / "exports" / "README.md").read_text()
    assert 'unitmean.load("normalised.safetensors", model="nets.py:net")' in card
    assert "network = net()  # of nets.py" in card and "torchvision.models" not in card
    # Exports describe the code that is proved.
    path = folder / "mine" / "blocks" / "__init__.py"
    text = path.read_text()
    path.write_text(f"{text}# changed\n")
    with pytest.raises(SystemExit):
        run(monkeypatch, export_weights, *settings)
    path.write_text(text)
    assert "under the settings that they are proved with, model.code=" in capsys.readouterr().err


def test_tied_weights_digits_for_names_and_no_pooling(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch.nn.Sequential: its names are digits, and style transfer's average pooling replaces nothing."""
    monkeypatch.chdir(folder)
    settings = [*SMALL, "model.name=tied", "model.code=mine/nets.py", "weights=code", "weights.input=unit"]
    for program in STAGES:
        run(monkeypatch, program, *settings, "rescale.min_active_fraction=0", "rescale.max_relative_error=10")
    made = folder / "data" / "tied"
    assert json.loads((made / "proof.json").read_text())["passed"]
    assert json.loads((made / "transfer" / "settings.json").read_text())["pooling"] == "max"
    assert ">5<" in (made / "report.html").read_text()
    normalised, _ = load_weights(made / "normalised.safetensors")
    network, pictures = own_network(f"{folder}/mine/nets.py:tied"), torch.rand(2, 3, 32, 32)
    before = network(pictures)
    network.load_state_dict(normalised)
    assert torch.equal(network.get_submodule("2").weight, normalised["2.weight"])  # type: ignore[arg-type]
    torch.testing.assert_close(network(pictures), before)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["weights=torchvision"], "weights=torchvision has torchvision's models; found 'mine/nets.py:net'"),
        (["weights=caffe"], "weights=caffe has the models vgg16, vgg19; found model.name 'mine/nets.py:net'"),
        (["weights=code"], "weights of a network of one's own don't say which pixels they were trained on"),
        (
            ["model.name=nat", "model.code=mine/nets.py"],
            "model.name must be a function or class of mine/nets.py",
        ),
    ],
)
def test_weights_that_a_network_of_ones_own_cant_have_are_refused(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(folder)
    own = [] if settings[0].startswith("model") else ["model.name=net", "model.code=mine/nets.py"]
    with pytest.raises(SystemExit):
        run(monkeypatch, fetch_weights, *SMALL, *own, *settings)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("several", "returns ['output[0]', 'output[1]']"),
        # A picture of zeros would look the same to it.
        ("counts", "another call returns something else, as it keeps something"),
    ],
)
def test_a_network_that_cant_be_followed_is_refused_before_it_is_measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    monkeypatch.chdir(folder)
    own = [f"model.name={name}", "model.code=mine/nets.py", "weights=code", "weights.input=unit"]
    run(monkeypatch, fetch_weights, *SMALL, *own)
    with pytest.raises(SystemExit):
        run(monkeypatch, collect_statistics, *SMALL, *own)
    assert words in capsys.readouterr().err
    assert not (folder / "data" / name / "statistics.parquet").exists()


LEAKY = """
import torch
from torch import nn

def leaky():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 12, 3)
    blocks = [first, nn.LeakyReLU(0.5), nn.AvgPool2d(2), second, nn.LeakyReLU(0.5)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4))
"""


def test_negative_means_are_not_dead(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the library does, the pipeline divides such channels by what is positive of them."""
    monkeypatch.chdir(folder)
    (folder / "mine" / "leaky.py").write_text(LEAKY)
    own = ["model.name=leaky", "model.code=mine/leaky.py", "weights=code", "weights.input=unit"]
    small = [text for text in SMALL if not text.startswith("rescale.")]
    stages = STAGES[STAGES.index(rescale_weights) :]
    for program in STAGES[: STAGES.index(rescale_weights)]:
        run(monkeypatch, program, *small, *own)
    with pytest.raises(SystemExit):
        run(monkeypatch, rescale_weights, *small, *own)
    told = capsys.readouterr().err
    assert "may be dead or have a negative mean; found 0 dead and " in told and "statistic=rms" in told
    made = folder / "data" / "leaky"
    for settings, negative in (([], True), (["rescale.statistic=rms"], False)):
        for program in stages:
            run(monkeypatch, program, *SMALL, *own, *settings)
        factors = pd.read_parquet(made / "factors.parquet")
        assert factors.loc[factors["mean"] > 0, "status"].ne("negative").all()
        below = factors[factors["mean"] < 0]
        assert len(below) and below["status"].eq("negative" if negative else "normalised").all()
        assert json.loads((made / "rescale.json").read_text()).get("negative", 0) == len(below) * negative
        assert json.loads((made / "proof.json").read_text())["passed"]
        report = (made / "report.html").read_text()
        assert ("have a negative mean" in report) == negative
