"""The stage that finds the images, or generates them, and describes them in hash order."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from unitmean.disk.atomic import write_text
from unitmean.pipeline.config.project import find_root
from unitmean.pipeline.disk.folders import writing_folder
from unitmean.pipeline.index.containers import Container
from unitmean.pipeline.index.index import build_rows_of, recorded_path, write_index, write_skipped
from unitmean.pipeline.index.kinds import LeftOut
from unitmean.pipeline.index.labels import Labels
from unitmean.pipeline.sources.images.find import find
from unitmean.pipeline.sources.images.source import Found
from unitmean.pipeline.stages.entry import Run, stage


@stage
def index_images(run: Run) -> str:
    """Decode every image of the data set once and write one row for each."""
    dataset, out, root = run.params.dataset, run.out("images"), find_root()
    labels = Labels(root / Path(dataset.labels).expanduser()) if dataset.labels else None
    with writing_folder(out) as folder:
        found = find(dataset, root, folder)
        left_out = sum((part.left_out for part in found), LeftOut())
        parts = [(part.container, part.entries, recorded_path(_lasting(part, out), root)) for part in found]
        if labels is not None:
            labels.require([entry.name for _, entries, _ in parts for entry in entries])
        rows, skipped = build_rows_of(parts, seed=dataset.seed, skip=dataset.on_error == "skip")
        if labels is not None:
            rows = [replace(row, label=labels.get(row.name)) for row in rows]
        write_index(folder / "index.parquet", rows)
        write_skipped(folder / "skipped.csv", skipped)
        kinds = [(kind, count, first) for kind, (count, first) in left_out.found.items()]
        table = pd.DataFrame(kinds, columns=["kind", "count", "name"])
        write_text(folder / "left_out.csv", table.to_csv(index=False))
    others = f"; left out as no images: {left_out}" if left_out else ""
    more = f" and {len(parts) - 1} more" if len(parts) > 1 else ""
    return f"{len(rows)} images of {dataset.name!r} in {parts[0][2]!r}{more}, {len(skipped)} skipped{others}"


def _lasting(part: Found, out: Path) -> Container:
    """Where a container lies in the end: one made here moves to its place with the temporary folder."""
    return out / part.container.name if part.made else part.container


if __name__ == "__main__":
    index_images()
