"""The stage that finds the images, or generates them, and describes them in hash order."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from unitmean.errors import ConfigError
from unitmean.pipeline.config.project import find_root
from unitmean.pipeline.disk.folders import writing_folder
from unitmean.pipeline.index.containers import Container, Entry
from unitmean.pipeline.index.index import build_rows_of, recorded_path, write_index, write_skipped
from unitmean.pipeline.index.labels import Labels
from unitmean.pipeline.sources.datasets import (
    download_archive,
    find_folder,
    find_ilsvrc_val,
    find_shards,
    generate,
    resolve,
)
from unitmean.pipeline.stages.entry import Run, stage


@stage
def index_images(run: Run) -> str:
    """Decode every image of the data set once and write one row for each."""
    dataset, out, root = run.params.dataset, run.out("images"), find_root()
    labels = Labels(root / Path(dataset.labels).expanduser()) if dataset.labels else None
    with writing_folder(out) as folder:
        parts = [
            # What is made here has its final place only when the folder has its name.
            (container, entries, recorded_path(out / container.name if made else container, root))
            for container, entries, made in _find(dataset, folder, root)
        ]
        if labels is not None:
            labels.require([entry.name for _, entries, _ in parts for entry in entries])
        rows, skipped = build_rows_of(parts, seed=dataset.seed, skip=dataset.on_error == "skip")
        if labels is not None:
            rows = [replace(row, label=labels.get(row.name)) for row in rows]
        write_index(folder / "index.parquet", rows)
        write_skipped(folder / "skipped.csv", skipped)
    more = f" and {len(parts) - 1} more" if len(parts) > 1 else ""
    return f"{len(rows)} images of {dataset.name!r} in {parts[0][2]!r}{more}, {len(skipped)} skipped"


def _find(dataset: Any, folder: Path, root: Path) -> list[tuple[Container, list[Entry], bool]]:
    """Where the images lie, their lists, and whether they were put into `folder` for it."""
    source, expected = dataset.source, dataset.expected
    tar = folder / "images.tar"
    if source == "generated":
        made = generate(tar, count=dataset.count, size=dataset.size, seed=dataset.seed, expected=expected)
        return [(tar, made, True)]
    if source == "url":
        partial = root / ".partial" / "downloads"
        return [(tar, download_archive(dataset.url, dataset.digest, tar, partial, expected=expected), True)]
    if source in ("webdataset", "parquet"):
        return [(*found, False) for found in find_shards(dataset.path, root, source, expected=expected)]
    container = resolve(dataset.path, root, source)
    if source in ("folder", "ilsvrc_val"):
        find = find_folder if source == "folder" else find_ilsvrc_val
        return [(container, find(container, expected=expected), False)]
    raise ConfigError(
        "dataset.source must be generated, folder, ilsvrc_val, webdataset, parquet or url; "
        f"found {source!r}: choose one"
    )


if __name__ == "__main__":
    index_images()
