"""The exports of one network: a folder with a file a layout and the card."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from unitmean.disk.atomic import write_json, write_text, writing
from unitmean.disk.digest import sha256
from unitmean.layouts.networks import Stored
from unitmean.layouts.onnx import require_onnx, write_onnx
from unitmean.layouts.writing import LAYOUTS, chosen
from unitmean.pipeline.exports.card import card, how_to_load


def require_exports(names: list[str], stored: Stored) -> list[str]:
    """The layouts to write; WeightsError or ConfigError, before any work, where one can't be written."""
    layouts = chosen(names, stored.network)
    if "onnx" in layouts:
        require_onnx()
    return layouts


def write_exports(
    folder: Path, layouts: list[str], stored: Stored, digest: str, size: int, counts: Mapping[str, int]
) -> None:
    """Write `<model>_normalised_<layout>.pth` or `.onnx` each, and the card, README.md and card.json, last.

    `stored` is the rescaled network, `digest` the sha256 of its canonical file, `size` the side of the
    pictures that the statistics were taken of, `counts` how many channels were normalised, tied, dead and
    pinned. What lay in the folder before is removed.
    """
    network, state = stored.network, stored.state
    shutil.rmtree(folder, ignore_errors=True)
    files: dict[str, Path] = {}
    for layout in layouts:
        suffix = "onnx" if layout == "onnx" else "pth"
        files[layout] = folder / f"{network.name}_normalised_{layout}.{suffix}"
        with writing(files[layout]) as temporary:
            if layout == "onnx":
                write_onnx(temporary, network, size)
            else:
                _save(temporary, LAYOUTS[layout](network, state))
    hashes: dict[str, tuple[str, str]] = {layout: (path.name, sha256(path)) for layout, path in files.items()}
    how = how_to_load(network, hashes, size)
    write_json(folder / "card.json", {"files": [{"name": name, "how": words} for name, words in how.items()]})
    write_text(folder / "README.md", card(network, stored.metadata, digest, hashes, how, counts))


def _save(path: Path, state: dict[str, Any]) -> None:
    # Into a file object: given a path, torch writes the file's name into the file.
    with path.open("wb") as file:
        torch.save({key: value.detach().clone() for key, value in state.items()}, file)
