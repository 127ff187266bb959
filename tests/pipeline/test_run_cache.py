"""Parameters, changed and changed back through `dvc repro`, give their own results.

The stages and what they declare are dvc.yaml's, but each runs `fake_stage.py`, so that what DVC fetches from
its cache of runs can be compared with what the stage would have written.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from dvc.repo import Repo
from pipeline import fake_stage
from pipeline.test_pipeline_reruns import reruns
from scratch_project import copy_settings

from unitmean.pipeline.config.keys import all_keys, keys, sections
from unitmean.pipeline.config.pipeline import Step, read_pipeline

Values = dict[str, dict[str, Any]]


class Project:
    """A scratch project in the working directory, its pipeline run in this process."""

    def __init__(self, steps: dict[str, Step]) -> None:
        self.steps = steps
        self.default: Values = yaml.safe_load(Path("params.yaml").read_text())
        self._repo = Repo(".")

    def run(self, values: Values) -> list[str]:
        """The stages that ran; those that DVC took from its cache did not."""
        Path("params.yaml").write_text(json.dumps(values))
        Path("ran.txt").write_text("")
        self._repo.reproduce()
        return Path("ran.txt").read_text().split()

    def require_results_of(self, values: Values) -> None:
        """All files are what the stages write of these values, whatever ran."""
        expected: dict[str, str] = {}
        for step in map(asdict, self.steps.values()):
            written = fake_stage.text(step, values, expected.__getitem__)
            expected |= dict.fromkeys(fake_stage.files(step, values, "outs"), written)
        assert {file: Path(file).read_text() for file in expected} == expected


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = copy_settings(tmp_path_factory.mktemp("project"))
    steps = read_pipeline(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder / "site"))
        pipeline = yaml.safe_load(Path("dvc.yaml").read_text())
        for name, stage in pipeline["stages"].items():
            stage["cmd"] = f"{sys.executable} -S -E fake_stage.py {name}"
            stage["deps"] = [dep for dep in stage["deps"] if dep.startswith("data/") or dep == "params.yaml"]
        Path("dvc.yaml").write_text(yaml.safe_dump({"stages": pipeline["stages"]}))
        Path("steps.json").write_text(json.dumps({name: asdict(step) for name, step in steps.items()}))
        shutil.copy(str(fake_stage.__file__), folder)
        Repo.init(no_scm=True).close()
        Path(".dvc/config").write_text("[core]\n    analytics = false\n    no_scm = true\n")
        yield Project(steps)


def other(section: str, key: str, value: Any) -> Any:
    """Another value of the key's type."""
    kind = keys(section)[key]
    for part in (kind, *get_args(kind)):
        if isinstance(part, type) and issubclass(part, Enum):
            names = [member.name for member in part]
            return names[:1] if isinstance(value, list) else next(name for name in names if name != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}x" if value else "x"


def require_own_results(project: Project, names: list[str]) -> None:
    """Each parameter changed, the one before it changed back at the same time."""
    project.run(project.default)
    project.require_results_of(project.default)
    for name in names:
        section, _, key = name.partition(".")
        changed = other(section, key, project.default[section][key])
        values = project.default | {section: project.default[section] | {key: changed}}
        assert sorted(project.run(values)) == sorted(["config", *reruns(project.steps, name)]), name
        project.require_results_of(values)
    assert project.run(project.default) == []
    project.require_results_of(project.default)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of libraries that DVC uses
def test_a_parameter_of_each_section_gives_its_own_results(project: Project) -> None:
    names = ["pixels" if "pixels" in keys(section) else next(iter(keys(section))) for section in sections()]
    require_own_results(project, [".".join(name) for name in zip(sections(), names, strict=True)])


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_parameter_gives_its_own_results(project: Project) -> None:
    require_own_results(project, all_keys())
