"""`unitmean audit`: is a published file normalised, by which measurement, and does it compute the same?"""

import argparse
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from unitmean.commands.typed import named_as_typed
from unitmean.console import console
from unitmean.errors import ConfigError, DataError

if TYPE_CHECKING:
    from rich.console import Console

    from unitmean.pipeline.audit.measured import Measured
    from unitmean.pipeline.audit.published import Published
    from unitmean.pipeline.index.index import Index
    from unitmean.proof.recover import Recovered

EPILOG = """\
Every candidate measurement (resizing, padding, pooling and, where the file doesn't say, the input) is tried
on the images; the one by which the channels' means scatter least is likely the one that the file was made by.

Exit status 0: every FILE is normalised and, given --original, computes the same function; 1 otherwise.
"""
SHOWN = 12  # channels listed
# How settings that errors name are given to this command.
ARGUMENTS = {"dataset.path": "--images", "weights.path": "FILE", "model.name": "--model"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="weights in any layout that is read"
    )
    parser.add_argument("--original", type=Path, metavar="FILE", help="the weights that FILE was made from")
    parser.add_argument(
        "--images",
        type=Path,
        metavar="PATH",
        help="a folder or archive of images (default: the project's index)",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="the network, where the file doesn't say (vgg19); of your own: FILE.py:NAME",
    )
    parser.add_argument("--limit", type=int, default=200, metavar="N", help="images to show (default: 200)")
    parser.add_argument(
        "--size", type=int, default=224, metavar="N", help="pixels of the network's input (default: 224)"
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where it computes (default: auto)"
    )


def run(options: argparse.Namespace) -> int:
    with named_as_typed(ARGUMENTS):
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    # Imported here, since torch takes seconds, for which `--help` shouldn't wait.
    from unitmean.device import choose_device
    from unitmean.pipeline.audit.candidates import Trials
    from unitmean.pipeline.audit.published import compare_with, named_model, read_published, try_candidates

    if options.limit < 2:
        raise ConfigError(f"--limit must be at least 2, for standard errors; found {options.limit!r}")
    if options.size < 1:
        raise ConfigError(f"--size must be at least 1 pixel; found {options.size!r}: set it, e.g. to 224")
    out = console()
    device = choose_device(options.device)
    models = [named_model(path, options.model) for path in options.files]
    files = [read_published(path, model) for path, model in zip(options.files, models, strict=True)]
    original = read_published(options.original, models[0]) if options.original else None
    index = _index(options.images, options.limit)
    good = True
    for published in files:
        with _partial() as partial:
            measured = try_candidates(published, index, Trials(options.size), partial, device, _tell)
        _show(out, published, measured, len(index))
        good = good and measured[0].normalised
        if original is not None:
            recovered = compare_with(original, published)
            _show_function(out, original, published, recovered)
            good = good and recovered.same
    return 0 if good else 1


@contextmanager
def _partial() -> Iterator[Path]:
    """The folder for sums: in a project one that a killed audit resumes from, elsewhere a temporary one."""
    from unitmean.pipeline.config.project import find_root

    try:
        kept = find_root() / ".partial" / "shards"
    except ConfigError:
        with TemporaryDirectory(prefix="unitmean-") as folder:
            yield Path(folder)
        return
    yield kept


def _index(path: Path | None, limit: int) -> "Index":
    from unitmean.pipeline.config.check import check
    from unitmean.pipeline.config.params import read_params
    from unitmean.pipeline.config.project import find_root
    from unitmean.pipeline.index.index import load_index

    if path is None:
        root = find_root()
        name = check(read_params(root / "params.yaml"), "params.yaml")["dataset"]["name"]
        found = root / "data" / name / "images" / "index.parquet"
        if not found.exists():
            raise DataError(
                f"an audit needs images; found no --images and no index at {str(found)!r}: "
                "give --images a folder or archive of photographs, or run `dvc repro index_images`"
            )
        index = load_index(found)
        return index.head(min(limit, len(index)))
    return _indexed(path, limit)


def _indexed(path: Path, limit: int) -> "Index":
    """The first images of `path` in the order of their names' hashes; prints what is left out."""
    from unitmean.pipeline.index.containers import listing
    from unitmean.pipeline.index.index import Index, build_rows

    if not path.exists():
        raise DataError(
            f"dataset.path must be a folder or an archive; found nothing at {str(path)!r}: correct it"
        )
    found = listing(path)
    # A prefix by name would be biased: data sets are sorted by class.
    chosen = sorted(found.entries, key=lambda entry: hashlib.sha256(entry.name.encode()).digest())[:limit]
    rows, skipped = build_rows(path, chosen, str(path.resolve()), seed=0, skip=True)
    out = console()
    out.print(f"{len(rows)} of {len(found.entries)} images in {str(path)!r}", soft_wrap=True)
    for image in skipped:
        out.print(f"skipped, does not decode: {image.name}: {image.reason}", soft_wrap=True)
    if found.left_out:
        out.print(f"left out as no images: {found.left_out}", soft_wrap=True)
    return Index(tuple(rows), path.resolve())


def _tell(measured: "Measured") -> None:
    """A line for each candidate, where there is no terminal for a bar."""
    if not sys.stderr.isatty():
        print(f"{measured.candidate}: spread {measured.spread:.3f}", file=sys.stderr, flush=True)


def _show(out: "Console", published: "Published", measured: "list[Measured]", images: int) -> None:
    from rich.table import Table

    best = measured[0]
    out.print(
        f"\n[bold]{published.path.name}[/bold]: {published.model}, {published.layout} layout", soft_wrap=True
    )
    for note in published.notes:
        out.print(f"note: {note}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("pixels", "input", "padding", "pooling"):
        table.add_column(column)
    for column in ("spread of log means", "median |mean - 1|", "within 3 s.e. of 1"):
        table.add_column(column, justify="right")
    for i, found in enumerate(measured):
        c = found.candidate
        cells = (f"{found.spread:.4f}", f"{found.distance:.4f}", f"{found.within:.1%}")
        table.add_row(c.pixels, c.input, c.padding, c.pooling, *cells, style="bold" if i == 0 else None)
    out.print(table)
    out.print(f"{best.verdict}: over {images} images {best.words}", soft_wrap=True)
    off = best.unexplained
    if best.normalised and len(off):
        out.print(f"channels that are off by more than sampling explains: {len(off)}", soft_wrap=True)
        for row in off.head(SHOWN).to_dict("records"):
            own, shared = row["mean"], row["shared_mean"]
            together = f", with those that share its factor {shared:.4g}" if shared != own else ""
            out.print(
                f"  {row['site']} channel {row['channel']}: "
                f"mean {own:.4g}, standard error {row['standard_error']:.2g}{together}"
            )
        if len(off) > SHOWN:
            out.print(f"  and {len(off) - SHOWN} more")


def _show_function(
    out: "Console", original: "Published", published: "Published", recovered: "Recovered"
) -> None:
    if recovered.same:
        low, high = recovered.factors.min(), recovered.factors.max()
        worst = max(error for error, _ in recovered.off.values())
        out.print(
            f"same function as {original.path.name}: every filter is the original's times its factors "
            f"({low:.3g} to {high:.3g}), each number within {worst:.1e}",
            soft_wrap=True,
        )
        if len(silent := [p for p in (original, published) if p.input is None]) == 1:
            out.print(
                f"note: this holds if both take the same input; {silent[0].path.name} doesn't say which",
                soft_wrap=True,
            )
        return
    out.print(f"NOT the function of {original.path.name}:", soft_wrap=True)
    for name, (error, count) in recovered.off.items():
        if count:
            out.print(f"  {name}: {count:,} numbers off, by up to {error:.2g} relative", soft_wrap=True)
