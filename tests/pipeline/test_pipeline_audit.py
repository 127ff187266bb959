"""An audit in the pipeline: what the stage writes, with and without, and what the report says of it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pipeline_stages import SMALL, STAGES, run
from safetensors.torch import save_file
from scratch_project import copy_settings

from unitmean.layouts.files import load_weights
from unitmean.networks.seeded import seeded
from unitmean.pipeline.commands import repro
from unitmean.pipeline.report.numbers import number
from unitmean.pipeline.stages import audit_weights as module
from unitmean.pipeline.stages.audit_weights import audit_weights
from unitmean.pipeline.stages.fetch_weights import fetch_weights
from unitmean.pipeline.stages.report import report

FILE = [
    "model=vgg11",
    "weights=file",
    "weights.input=torchvision",
    "transfer.content_layer=relu2_1",
    "transfer.style_layers=[relu1_1,relu2_1]",
]
ASKED = ["audit.enabled=true", "audit.images=6", "audit.pixels=96"]
DATA = Path("data/vgg11")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that normalised two layers, without an audit; `made` and `normalised` are the files."""
    folder = copy_settings(tmp_path_factory.mktemp("project"))
    kept = {k: v for k, v in seeded("vgg11", 0, 3.0).items() if k[:11] in {"features.0.", "features.3."}}
    save_file(kept, folder / "made.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for program in STAGES:
            run(patch, program, *SMALL, *FILE, "weights.path=made.safetensors")
    state, _ = load_weights(folder / DATA / "normalised.safetensors")
    save_file(state, folder / "normalised.safetensors")
    return folder


@pytest.fixture
def audit(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Fetch weights, run the stages named with overrides; what they print."""
    monkeypatch.chdir(folder)

    def audit(path: str, *overrides: str) -> str:
        for program in (fetch_weights, audit_weights, report):
            run(monkeypatch, program, *SMALL, *FILE, f"weights.path={path}", *overrides)
        return capsys.readouterr().out

    return audit


def page() -> str:
    return " ".join((DATA / "report.html").read_text().split())


def test_without_an_audit_there_are_tables_without_rows_and_no_word_in_the_report(
    audit: Callable[..., str],
) -> None:
    words = audit("made.safetensors")
    assert "audit.enabled=true" in words
    assert json.loads((DATA / "audit.json").read_text()) == {}
    assert [len(pd.read_csv(DATA / name)) for name in ("audit_candidates.csv", "audit_means.csv")] == [0, 0]
    assert "normalised before" not in page()


def test_without_an_audit_torch_is_not_imported(folder: Path) -> None:
    import subprocess

    code = "import sys; from unitmean.pipeline.stages.audit_weights import audit_weights; audit_weights(); "
    code += "print([name for name in ('torch', 'pandas', 'hydra') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout.splitlines()[-1] == "[]", result


def test_normalised_weights_are_known_and_by_which_measurement(
    audit: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = audit("normalised.safetensors", *ASKED)
    found, table, channels = (
        json.loads((DATA / "audit.json").read_text()),
        pd.read_csv(DATA / "audit_candidates.csv"),
        pd.read_csv(DATA / "audit_means.csv"),
    )
    assert found["audit_normalised"] and found["audit_images"] == 6
    assert found["audit_best"] == "warp 96, zeros, max"
    assert len(table) == 12 and table["spread"].is_monotonic_increasing
    assert table["candidate"][0] == "warp 96, zeros, max" and table["candidate"].is_unique
    assert list(table.columns) == module.CANDIDATES.split(",")
    assert list(channels.columns) == module.MEANS.split(",") and len(channels) == 64 + 128
    assert found["audit_unexplained"] == (~channels["explained"]).sum()
    assert "normalised: over 6 images" in words and "best by warp 96, input torchvision" in words
    text = page()
    assert "<strong>Yes.</strong>" in text and "scatter least by warp 96, input torchvision" in text
    assert f"<td>{number(table['spread'][11])}</td>" in text and "<td>relu2_1</td><td>128</td>" in text
    repro.show(DATA)
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in shown if "weights as fetched" in line] == ["yes"]


def test_weights_as_made_are_not_normalised(audit: Callable[..., str]) -> None:
    words = audit("made.safetensors", *ASKED, "audit.resizes=[warp]", "audit.paddings=[zeros]")
    found = json.loads((DATA / "audit.json").read_text())
    assert not found["audit_normalised"] and found["audit_distance"] > 0.2
    assert len(pd.read_csv(DATA / "audit_candidates.csv")) == 2
    assert "NOT normalised: over 6 images" in words
    assert "<strong>No.</strong>" in page()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("audit=true", "audit must be given key by key; found 'audit=true': set one of audit.enabled, "),
        ("audit.enabled=maybe", "audit.enabled must be true or false"),
        ("audit.images=1", "audit.images must be at least 2"),
        ("audit.resizes=[]", "audit.resizes must list at least one"),
        ("audit.poolings=[sum]", "audit.poolings must be a list, each item one of max, avg"),
    ],
)
def test_mistakes_are_told(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    override: str,
    words: str,
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["stage", override])
    with pytest.raises(SystemExit):
        audit_weights()
    assert words in capsys.readouterr().err
