"""What can be normalised in timm's rectifier networks: `python benchmarks/zoo_timm.py --out docs/zoo.md`.

timm is no requirement: install it by hand (`pip install timm`). Networks are made without weights, and tried
in turn from each of timm's modules, so that a run that `--minutes` ends early has seen all kinds. Rows lie
beside the page, so that another run goes on where the last one was. The page's section on timm is written
anew, the rest of it stays.
"""

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path

import timm
import torch
from sections import write_section
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from unitmean.disk.atomic import write_json
from unitmean.errors import NetworkError
from unitmean.graph.analysis import analyse
from unitmean.graph.plan import Plan
from unitmean.graph.strict import require_whole
from unitmean.graph.variables import ONE

LARGEST = 30_000_000  # parameters
SIGMA = 0.7  # of the random factors' logarithm
NOTABLE = 1e-12
HEADING = "# timm's networks"
TEXT = """
What `python benchmarks/zoo_timm.py` found with timm {timm} and torch {torch}: {tried:,} of its {all:,}
networks, one of each variant of weights, without the weights, were tried in turn from each of its modules, on
an input of at most {size} pixels where the network allows; {left} of more than {largest} million parameters
were left out, {none} have no rectifier. *Strict* says whether `normalise` takes the network as it is. *Why
not* is the reason of the first channel that isn't free.

| network | rectifiers | channels | free | strict | change | why not |
|---|---:|---:|---:|---|---:|---|
"""
SIZE = 96


@dataclass(frozen=True)
class Row:
    """One network, or why it could not be tried; without rectifiers it isn't shown."""

    name: str
    sites: int = 0
    channels: int = 0
    free: int = 0
    strict: bool = False
    change: float = 0.0
    rounding: float = 0.0  # the two are looked at where the change is above NOTABLE
    exact: float = 0.0
    reason: str = ""
    giant: bool = False
    failed: str = ""


def examine(name: str) -> Row:
    """Analyse the network and rescale it by random factors in float64."""
    with torch.device("meta"):
        parameters = sum(p.numel() for p in timm.create_model(name).parameters())
    if parameters > LARGEST:
        return Row(name, giant=True)
    torch.manual_seed(0)
    failed = "no size fits"
    for size in dict.fromkeys((SIZE, 224, timm.get_pretrained_cfg(name).input_size[-1])):
        try:
            module = timm.create_model(name).eval()
            return _examine(name, _random(module).double(), size)
        except NetworkError as error:
            failed = str(error)
        except (RuntimeError, ValueError, AssertionError) as error:  # the network's own, of its input's size
            failed = f"{type(error).__name__}: {error}"
    return Row(name, failed=failed.splitlines()[0])


def _examine(name: str, module: nn.Module, size: int) -> Row:
    channels = 3
    x = torch.randn(1, channels, size, size, dtype=torch.float64)
    with torch.inference_mode():
        before = tree_leaves(module(x))
    plan = analyse(module, x)
    if not plan.sites:
        return Row(name)
    ids = torch.cat([site.variables for site in plan.sites])
    factors = torch.where(plan.free, (SIGMA * torch.randn(plan.variables, dtype=torch.float64)).exp(), 1.0)
    old = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    row = Row(name, len(plan.sites), len(ids), int((ids != ONE).sum()), _strict(plan))
    reason = next((r for site in plan.sites for r in site.reasons if r), "")
    row = replace(row, change=_change(module, x, before, plan.rescale(factors, old)), reason=reason)
    if row.change <= NOTABLE:
        return row
    powers = plan.rescale(factors.log2().round().exp2(), old)
    nearly = x * (1 + torch.finfo(x.dtype).eps / 2 * torch.randn_like(x))
    return replace(
        row,
        rounding=_change(module, nearly, before, old),
        exact=_change(module, x, before, powers),
    )


def _change(module: nn.Module, x: Tensor, before: list[Tensor], state: dict[str, Tensor]) -> float:
    """How far the outputs of the module with these weights are from `before`, relative to their largest."""
    module.load_state_dict(state)
    with torch.inference_mode():
        after = tree_leaves(module(x))
    return max(float((b - a).abs().max() / a.abs().max()) for a, b in zip(before, after, strict=True))


def _strict(plan: Plan) -> bool:
    try:
        require_whole(plan, "strict=False")
    except NetworkError:
        return False
    return True


def _random(module: nn.Module) -> nn.Module:
    """Numbers under which nothing is the identity and nothing explodes."""
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            continue
        if name.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.1)
        elif name.endswith("running_var") or tensor.ndim < 2:
            tensor.uniform_(0.5, 1.5)
    return module


def in_turn() -> list[str]:
    """All of timm's networks, one of each module, then a second of each, and so on."""
    by_module = [timm.list_models(module=module) for module in sorted(timm.list_modules())]
    return [name for names in zip_longest(*by_module) for name in names if name]


def page(rows: list[Row]) -> str:
    rows = sorted(rows, key=lambda row: row.name)
    text = TEXT.format(
        tried=len(rows),
        all=len(in_turn()),
        none=sum(not (row.sites or row.giant or row.failed) for row in rows),
        timm=timm.__version__,
        torch=torch.__version__,
        size=SIZE,
        left=sum(row.giant for row in rows),
        largest=LARGEST // 1_000_000,
    )
    lines = [
        f"| {row.name} | {row.sites} | {row.channels:,} | {row.free:,} | {'yes' if row.strict else 'no'} "
        f"| {row.change:.1e} | {row.reason or '–'} |\n"
        for row in rows
        if row.sites
    ]
    notable = [
        f"\n`{row.name}` changes by {row.change:.1e}: by {row.rounding:.1e} already where its input is "
        f"changed by one rounding, and by {row.exact:.2g} where the factors are powers of two.\n"
        for row in rows
        if row.change > NOTABLE
    ]
    failed = [f"\n`{row.name}` could not be tried: {row.failed}\n" for row in rows if row.failed]
    return text + "".join([*lines, *notable, *failed])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="default: all of timm's")
    parser.add_argument("--minutes", type=float, default=math.inf, help="try no more after so many")
    parser.add_argument("--out", type=Path, required=True, help="the page that gets the section")
    options = parser.parse_args()
    kept = options.out.parent / f".{options.out.name}.timm-{timm.__version__}"
    rows = []
    end = time.monotonic() + 60 * options.minutes
    for name in options.names or in_turn():
        path = kept / f"{name}.json"
        if not path.exists():
            if time.monotonic() > end:
                continue
            write_json(path, asdict(row := examine(name)))
            print(row, flush=True)
        rows.append(Row(**json.loads(path.read_text(encoding="utf-8"))))
    write_section(options.out, HEADING, page(rows))


if __name__ == "__main__":
    main()
