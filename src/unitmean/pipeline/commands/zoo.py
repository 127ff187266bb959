"""`unitmean zoo`: the table of what can be normalised in torchvision's networks."""

import argparse
import difflib
import gc
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from unitmean.disk.atomic import write_json, write_text
from unitmean.disk.progress import watched
from unitmean.errors import ConfigError, NetworkError
from unitmean.networks.zoo import Entry, examine, names
from unitmean.pipeline.measure.source_code import code_hash

HEADER = """\
# torchvision's networks

What `unitmean zoo` found on {day} (torch {torch}). *Free* channels of the rectifiers may have any factor;
*tied* ones of these share it with others, as in a residual stream. *Others* are operators that no factor
passes: a network is refused where they hold a rectifier's channels, unless `rescale.strict=false`, and always
where it has no rectifier.
*Change* is that of the float64 output, relative, under random log-normal factors (sigma 0.7) on all that is
free, with random weights and batch-norm statistics, auxiliary heads included. *Seconds* are those of the
analysis, nearly all `torch.export`'s own.

| network | rectifiers | channels | free | tied | others | change | s |
|---|---:|---:|---:|---:|---|---:|---:|
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NETWORK", help="default: all of torchvision's")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write Markdown there rather than print it")
    parser.add_argument("--quick", action="store_true", help="leave out the change of the output")


def run(options: argparse.Namespace) -> int:
    chosen = options.names or names()
    if unknown := [name for name in chosen if name not in names()]:
        close = difflib.get_close_matches(unknown[0], names()) or names()[:3]
        raise ConfigError(
            f"a network must be one of torchvision's {len(names())}; found {unknown[0]!r}: "
            f"did you mean {' or '.join(close)}?"
        )
    # Rows found so far lie beside the page until it is whole: a run that was killed goes on there.
    kept = options.out and options.out.parent / f".{options.out.name}.rows"
    entries, failed = [], []
    for name in watched(chosen, len(chosen), "networks", "networks"):
        try:
            entries.append(_kept(name, kept, numbers=not options.quick))
        except NetworkError as error:
            failed.append(f"\n`{name}`: {error}\n")
        gc.collect()  # the largest networks fill gigabytes
    text = page(entries) + "".join(failed)
    if options.out:
        write_text(options.out, text + _below(options.out))
        shutil.rmtree(kept, ignore_errors=True)
        print(f"{len(entries)} networks, {len(failed)} that can't be analysed: {options.out}")
    else:
        print(text, end="")
    return 0


def _kept(name: str, kept: Path | None, *, numbers: bool) -> Entry:
    if kept is None:
        return examine(name, numbers=numbers)
    import torch
    import torchvision

    path = (
        kept
        / f"{torch.__version__}-{torchvision.__version__}-{code_hash('unitmean.networks.zoo')[:16]}"
        / f"{name}{'' if numbers else '-quick'}.json"
    )
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        return Entry(**found | {"forbidden": tuple(found["forbidden"])})
    entry = examine(name, numbers=numbers)
    write_json(path, asdict(entry))
    return entry


def _below(path: Path) -> str:
    """What others wrote below the page: from its second heading on."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    return "".join(old.partition("\n# ")[1:])


def page(entries: Sequence[Entry]) -> str:
    import torch

    header = HEADER.format(day=date.today().isoformat(), torch=torch.__version__)
    return header + "".join(map(row, entries))


def row(entry: Entry) -> str:
    """One line of the table."""
    cells = [
        entry.name,
        f"{entry.sites}",
        f"{entry.channels:,}",
        f"{entry.free:,}",
        f"{entry.tied:,}",
        ", ".join(entry.forbidden) or "–",
        "–" if entry.difference is None else f"{entry.difference:.1e}",
        f"{entry.seconds:.1f}",
    ]
    return f"| {' | '.join(cells)} |\n"
