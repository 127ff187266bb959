"""What pyproject.toml can't say: a wheel carries the files of the project that `unitmean init` makes."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FILES = ("conf", "dvc.yaml", "hydra_plugins", "data/README.md", ".dvcignore", ".dvc/config", ".dvc/plots")


class BuildWithProject(build_py):
    """Copies the checkout's pipeline definition into unitmean/pipeline/template/project."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # the checkout itself is at hand
            return
        root = Path(__file__).resolve().parent
        target = Path(self.build_lib) / "unitmean" / "pipeline" / "template" / "project"
        shutil.rmtree(target, ignore_errors=True)
        for name in FILES:
            source, copy = root / name, target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy)


setup(cmdclass={"build_py": BuildWithProject})
