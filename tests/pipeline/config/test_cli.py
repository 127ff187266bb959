"""The command line: params.yaml, DVC's status, the closing table."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from scratch_project import copy_settings

from unitmean import cli
from unitmean.pipeline.commands import repro

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(copy_settings(tmp_path))
    (tmp_path / ".git").mkdir()  # or `repro` asks DVC whether it may run without
    return tmp_path


@pytest.fixture
def dvc(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Records the call of DVC instead of making it; `status` is what it exits with."""
    seen: dict[str, Any] = {"status": 0}

    def status_of(command: list[str], **options: Any) -> int:
        seen.update(options, command=command)
        return int(seen["status"])

    monkeypatch.setattr(repro, "status_of", status_of)
    return seen


def test_configure_writes_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["configure", "model=vgg16", "dataset.subset=5"]) == 0
    assert "model.name=vgg16, dataset.subset=5" in capsys.readouterr().out
    stamp = (project / "params.yaml").stat().st_mtime_ns
    assert cli.main(["configure", "model=vgg16", "dataset.subset=5"]) == 0
    assert (project / "params.yaml").stat().st_mtime_ns == stamp


def test_configure_makes_a_missing_or_broken_params_yaml(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    for text in (None, "model: vgg16\n", "a: ["):
        (project / "params.yaml").unlink()
        if text is not None:
            (project / "params.yaml").write_text(text)
        assert cli.main(["configure"]) == 0
        assert (project / "params.yaml").read_bytes() == before


def test_check_knows_a_variant_from_a_stale_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["configure", "--check"]) == 0
    assert cli.main(["configure", "--check", "model=vgg16"]) == 1
    assert "model.name=vgg19" in capsys.readouterr().err
    assert cli.main(["configure", "model=vgg16"]) == 0
    capsys.readouterr()
    assert cli.main(["configure", "--check"]) == 0
    assert "but for: model.name=vgg16" in capsys.readouterr().out
    assert cli.main(["configure", "model=vgg16", "--check"]) == 0
    (project / "conf/weights/seeded.yaml").write_text("source: seeded\nseed: 3\n")
    before = (project / "params.yaml").read_bytes()
    assert cli.main(["configure", "--check"]) == 1
    assert "meta.conf_sha" in capsys.readouterr().err
    assert (project / "params.yaml").read_bytes() == before


def test_a_wrong_override_writes_and_runs_nothing(
    project: Path, dvc: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (project / "params.yaml").read_bytes()
    assert cli.main(["repro", "model=vgg99"]) == 1
    assert capsys.readouterr().err.startswith("error: model must be one of")
    assert "command" not in dvc and (project / "params.yaml").read_bytes() == before


def test_repro_calls_its_own_dvc(project: Path, dvc: dict[str, Any]) -> None:
    assert cli.main(["repro", "model=vgg16", "--", "--force", "report"]) == 0
    assert dvc["command"] == [sys.executable, "-m", "dvc", "repro", "--force", "report"]
    assert dvc["env"]["PATH"].startswith(str(Path(sys.executable).parent))
    assert dvc["cwd"] == project
    assert "name: vgg16" in (project / "params.yaml").read_text()


def test_repro_passes_dvcs_status_on(
    project: Path, dvc: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project / "data/vgg19"
    folder.mkdir(parents=True)
    (folder / "report.html").touch()
    dvc["status"] = 255
    assert cli.main(["repro"]) == 255
    assert "report:" not in capsys.readouterr().out


def test_the_closing_table(project: Path, dvc: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    folder = project / "data/vgg19"
    folder.mkdir(parents=True)
    (folder / "rescale.json").write_text(json.dumps({"channels": 5504, "normalised": 5500, "dead": 4}))
    (folder / "invariance.json").write_text(json.dumps({"float64_log10": -13.9, "other": 1}))
    (folder / "report.html").touch()
    assert cli.main(["repro"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    rows = [line.rsplit(maxsplit=1) for line in out.splitlines() if line]
    assert ["channels in all", "5,504"] in rows and ["channels normalised", "5,500"] in rows
    assert ["change of the output, float64, relative", "1.3e-14"] in rows
    assert rows[-1] == ["report:", "data/vgg19/report.html"]


def test_arguments_for_dvc_only_with_repro(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["configure", "--", "--force"]) == 1
    assert "'--force'" in capsys.readouterr().err


@pytest.mark.parametrize("behind", [["config"], ["--dry"], ["-s", "report"]])
def test_no_figures_of_a_run_that_may_have_left_something_out(
    project: Path, dvc: dict[str, Any], capsys: pytest.CaptureFixture[str], behind: list[str]
) -> None:
    folder = project / "data/vgg19"
    folder.mkdir(parents=True)
    (folder / "rescale.json").write_text(json.dumps({"normalised": 5500}))
    assert cli.main(["repro", "--", *behind]) == 0
    assert "5,500" not in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_completes_commands_and_their_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--completion", shell]) == 0
    words = capsys.readouterr().out
    assert all(word in words for word in ("normalise", "stylise", "statistic", "style-weights"))


def test_an_unknown_shell_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--completion", "cmd"]) == 1
    assert "must be followed by one of bash" in capsys.readouterr().err
