"""A stage's start and end: what it gets, what it may read, what it prints, its exit status."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from scratch_project import copy_settings

from unitmean.errors import ConfigError, DataError
from unitmean.pipeline.stages.entry import Run, prepare, stage

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(copy_settings(tmp_path))
    return tmp_path


def transfer_style(body: Callable[[Run], str | None]) -> Callable[[], None]:
    """A program with the name of a stage of dvc.yaml and another body."""

    def transfer_style(run: Run) -> str | None:
        return body(run)

    return stage(transfer_style)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def call(program: Callable[[], None], *arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["stage", *arguments])
        try:
            program()
        except SystemExit as end:
            return int(str(end.code))
        return 0

    return call


def test_a_stage_gets_its_parameters_and_files(project: Path) -> None:
    run = prepare("transfer_style")
    assert run.params.transfer.steps == 20 and run.params.model.name == "vgg19"
    assert run.out("losses.csv") == Path("data/vgg19/losses.csv")
    weights = project / "data/vgg19/weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    assert run.dep("weights.safetensors").resolve() == weights


def test_overrides_move_the_outputs_and_leave_params_yaml(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    run = prepare("transfer_style", ["model=vgg16", "transfer.steps=3"])
    assert run.out("losses.csv") == Path("data/vgg16/losses.csv")
    assert run.params.transfer.steps == 3
    assert (project / "params.yaml").read_bytes() == before


def test_a_stage_runs_from_a_folder_below(
    project: Path, call: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "conf" / "model")
    found: list[Path] = []
    assert call(transfer_style(lambda run: found.append(run.out("losses.csv").resolve()))) == 0
    assert found == [project / "data/vgg19/losses.csv"]


def test_relative_paths_start_at_the_root_from_a_folder_below(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    below = project / "conf"
    (project / "own.pth").write_text("the root's")
    (below / "own.pth").write_text("another")
    monkeypatch.chdir(below)

    @stage
    def fetch_weights(run: Run) -> str:
        return Path(str(run.params.weights.path)).read_text()

    monkeypatch.setattr(sys, "argv", ["stage", "weights=file", "weights.path=own.pth"])
    fetch_weights()
    assert "the root's" in capsys.readouterr().out and Path.cwd() == below


def test_only_declared_files_open(project: Path) -> None:
    run = prepare("transfer_style")
    with pytest.raises(ConfigError, match="transfer_style.*'statistics.parquet'.*dvc.yaml"):
        run.dep("statistics.parquet")
    with pytest.raises(ConfigError, match="0 outs named 'report.html'"):
        run.out("report.html")
    with pytest.raises(DataError, match="normalised.safetensors.*found nothing there.*dvc repro"):
        run.dep("normalised.safetensors")


def test_a_name_that_two_files_share_is_refused() -> None:
    run = Run("x", prepare("config").params, (Path("a/images"), Path("b/images")), ())
    with pytest.raises(ConfigError, match="found 2 deps named 'images'"):
        run.dep("images")


def test_it_ends_with_one_plain_line(
    project: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(transfer_style(lambda run: f"{run.params.transfer.steps} steps")) == 0
    assert call(transfer_style(lambda run: f"{run.params.transfer.steps} steps"), "transfer.steps=7") == 0
    assert call(transfer_style(lambda run: None)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(r"\d+\.\d", "T", line) for line in lines] == [
        "transfer_style  T s  20 steps",
        "transfer_style  T s  7 steps",
        "transfer_style  T s",
    ]


def test_errors_are_words_and_a_status(
    project: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(run: Run) -> str:
        raise KeyboardInterrupt

    assert call(transfer_style(lambda run: str(run.params.collect.batch_size))) == 1
    words = capsys.readouterr().err
    assert words.startswith("error: ") and words.count("\n") == 1
    assert "transfer_style" in words and "'collect'" in words and "dvc.yaml" in words

    assert call(transfer_style(lambda run: None), "transfer.stebs=1") == 1
    assert "did you mean transfer.steps" in capsys.readouterr().err

    assert call(transfer_style(interrupted)) == 130
    assert capsys.readouterr().err.startswith("interrupted")


def test_params_yaml_with_a_text_for_a_section(
    project: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    text = (project / "params.yaml").read_text()
    # What `dvc exp run --no-hydra -S transfer=smoke` and `-S model=vgg16` leave.
    for section in ("transfer", "model"):
        head, _, tail = text.partition(f"{section}:\n")
        while tail.startswith(" "):
            tail = tail.partition("\n")[2]
        (project / "params.yaml").write_text(f"{head}{section}: name\n{tail}")
        assert call(transfer_style(lambda run: None)) == 1
        words = capsys.readouterr().err
        assert (
            words.startswith("error: ")
            and section in words
            and "'name'" in words
            and "unitmean configure" in words
        )


def test_help_says_what_the_stage_reads(
    project: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(transfer_style(lambda run: None), "--help") == 0
    words = capsys.readouterr().out
    assert "data/${model.name}/losses.csv" in words and "transfer" in words


def test_outside_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="dvc.yaml and conf/ must lie in the working directory"):
        prepare("transfer_style")


def test_the_config_stage(project: Path) -> None:
    def config() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "unitmean.pipeline.stages.config"]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ)

    assert config().returncode == 0
    mark = (project / "data/config.ok").read_bytes()
    with (project / "conf/weights/seeded.yaml").open("a") as file:
        file.write("seed: 3\n")
    failed = config()
    assert failed.returncode == 1 and "Traceback" not in failed.stderr
    assert "meta.conf_sha" in failed.stderr and "unitmean configure" in failed.stderr
    assert (project / "data/config.ok").read_bytes() == mark


def test_light_programs_do_not_import_torch() -> None:
    modules = "unitmean.cli, unitmean.pipeline.commands.repro, unitmean.pipeline.stages.config"
    code = f"import sys, {modules}; print(*({{'torch', 'hydra'}} & {{*sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_a_stage_runs_under_its_former_address(tmp_path: Path) -> None:
    for module in ("unitmean.pipeline.stages.config", "unitmean.stages.config"):
        found = subprocess.run([sys.executable, "-m", module], cwd=ROOT, capture_output=True, text=True)
        assert "params.yaml is in step with conf/" in found.stdout, found.stderr
