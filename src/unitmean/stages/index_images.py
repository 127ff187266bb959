"""The stage that finds the images, or generates them, and describes them in hash order."""

from pathlib import Path
from typing import Any

from unitmean.config.project import find_root
from unitmean.disk.containers import Entry
from unitmean.disk.datasets import find_folder, find_ilsvrc_val, generate, resolve
from unitmean.disk.folders import writing_folder
from unitmean.disk.index import build_rows, recorded_path, write_index, write_skipped
from unitmean.errors import ConfigError
from unitmean.stages.entry import Run, stage


@stage
def index_images(run: Run) -> str:
    """Decode every image of the data set once and write one row for each."""
    dataset, out, root = run.params.dataset, run.out("images"), find_root()
    with writing_folder(out) as folder:
        container, entries = _find(dataset, folder, root)
        # Generated images have their final place only when the folder has its name.
        recorded = recorded_path(out / container.name if container.parent == folder else container, root)
        skip = dataset.on_error == "skip"
        rows, skipped = build_rows(container, entries, recorded, seed=dataset.seed, skip=skip)
        write_index(folder / "index.parquet", rows)
        write_skipped(folder / "skipped.csv", skipped)
    return f"{len(rows)} images of {dataset.name!r} in {recorded!r}, {len(skipped)} skipped"


def _find(dataset: Any, folder: Path, root: Path) -> tuple[Path, list[Entry]]:
    """Where the images lie, and their list; generated ones are written into `folder`."""
    if dataset.source == "generated":
        tar = folder / "images.tar"
        made = generate(
            tar, count=dataset.count, size=dataset.size, seed=dataset.seed, expected=dataset.expected
        )
        return tar, made
    container = resolve(dataset.path, root, dataset.source)
    if dataset.source == "folder":
        return container, find_folder(container, expected=dataset.expected)
    if dataset.source == "ilsvrc_val":
        return container, find_ilsvrc_val(container, expected=dataset.expected)
    raise ConfigError(
        f"dataset.source must be generated, folder or ilsvrc_val; found {dataset.source!r}: choose one"
    )


if __name__ == "__main__":
    index_images()
