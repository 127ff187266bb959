"""A stage that only writes what it may know: its declared parameters' values and its inputs.

`python fake_stage.py NAME` runs in a project with params.yaml and steps.json, both JSON: that is YAML too and
needs no library to be read: this program starts hundreds of times.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def files(step: dict[str, Any], values: dict[str, Any], kind: str) -> list[str]:
    """The files of a stage's `deps` or `outs`; of a folder the one in it."""
    paths = [path for path in step[kind] if path.startswith("data/")]
    for section in ("model", "dataset"):
        paths = [path.replace(f"${{{section}.name}}", values[section]["name"]) for path in paths]
    return [path if Path(path).suffix else f"{path}/file" for path in paths]


def text(step: dict[str, Any], values: dict[str, Any], read: Callable[[str], str]) -> str:
    """What the stage writes, of the values and what `read` says of its inputs."""
    if step["name"] == "config":
        return "constant"
    declared = {name: values[name.partition(".")[0]][name.partition(".")[2]] for name in step["params"]}
    inputs = [hashlib.sha256(read(file).encode()).hexdigest() for file in files(step, values, "deps")]
    return json.dumps([step["name"], declared, inputs])


if __name__ == "__main__":
    values = json.loads(Path("params.yaml").read_text())
    step = json.loads(Path("steps.json").read_text())[sys.argv[1]]
    written = text(step, values, lambda file: Path(file).read_text())
    for file in files(step, values, "outs"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(written)
    with Path("ran.txt").open("a") as log:
        log.write(f"{step['name']} ")
