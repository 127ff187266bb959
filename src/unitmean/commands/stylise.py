"""`unitmean stylise`: a picture in the style of others; needs the library alone."""

import argparse
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitmean.commands.typed import named_as_typed
from unitmean.disk.atomic import require_writable, written_over
from unitmean.ending import INTERRUPTED, interrupted
from unitmean.errors import ConfigError
from unitmean.layouts.proved import NAME as PROOF
from unitmean.layouts.proved import proved
from unitmean.style.settings import Settings

if TYPE_CHECKING:
    from unitmean.stylising import Transfer

EPILOG = """\
Style layers weigh alike with a normalised network, and by the authors' correction (1/channels^2) with any
other, unless --layer-weights says so. The method and its departures from the paper: docs/style.md.
"""
SUFFIXES = (".png", ".jpg", ".jpeg")
# How settings that errors name are given to this command.
ARGUMENTS = {"weights.path": "--weights", "model.name": "--model", "model.code": "--model"}
# Options that concern the network, not the transfer.
NETWORK = ("model", "input", "pooling", "padding", "device")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("content", metavar="CONTENT", type=Path, help="the picture that keeps its content")
    parser.add_argument("styles", metavar="STYLE", type=Path, nargs="+", help="whose style it gets")
    parser.add_argument("-o", "--out", type=Path, help="a PNG or JPEG (CONTENT_STYLE.png)")
    parser.add_argument(
        "--weights",
        help="a weights file, or a network's name for torchvision's; default: data/*/normalised.safetensors, "
        "if it is proved",
    )
    parser.add_argument(
        "--model", help="the network, where the file doesn't say (vgg19); of your own: FILE.py:NAME"
    )
    parser.add_argument(
        "--input", choices=["caffe", "torchvision", "unit"], help="its pixels, where it doesn't say"
    )
    parser.add_argument("--pooling", choices=["max", "avg"], help="default: as it was measured, or avg")
    parser.add_argument("--padding", choices=["zeros", "reflect"], help="default: as it was measured")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--preview", type=int, help="write the picture every so many steps")
    _transfer(parser)


def _transfer(parser: argparse.ArgumentParser) -> None:
    usual = {field.name: field.default for field in fields(Settings) if field.default is not MISSING}

    def add(name: str, words: str, **more: Any) -> None:
        default = usual[name.replace("-", "_")]
        shown = f"{words} ({default})" if isinstance(default, int | float | str) else words
        parser.add_argument(f"--{name}", default=default, help=shown, **more)

    add("size", "longer side in pixels", type=int)
    add("steps", "iterations at each size", type=int)
    add("scales", "sizes from coarse to fine, doubling; default: so many that the first has 512", type=int)
    add("init", "what it starts from", choices=["content", "style", "noise"])
    add("optimiser", "way down", choices=["lbfgs", "adam"])
    add("rate", "Adam's step, of a pixel's range", type=float)
    add("content-layer", "default: relu4_2, or the last style layer")
    add("style-layers", "default: relu1_1 relu2_1 … as far as there are any", nargs="+")
    add("content-weight", "of the content loss", type=float)
    add("style-weight", "of the style losses together", type=float)
    add("style-weights", "how much of each STYLE, in proportion", type=float, nargs="+")
    add("layer-weights", "of style layers", choices=["equal", "authors"])
    add("style-scale", "size of the style's strokes", type=float)
    add("masks", "a picture for each STYLE, white where it goes", type=Path, nargs="+")
    add("smooth", "weight of the total variation", type=float)
    parser.add_argument("--original-colours", action="store_true", help="keep the content's colours")
    add("noise", "the noise's share of the start", type=float)
    add("seed", "of the noise", type=int)


def run(options: argparse.Namespace) -> int:
    """Stylise, print the layers' shares of the style loss, write the picture."""
    out = _require(options)
    weights = options.weights or _normalised()
    # Imported late: torch takes seconds, and a misspelt option should be reported at once.
    from unitmean.stylising import prepare

    words = {name: getattr(options, name) for name in NETWORK}
    words |= {field.name: getattr(options, field.name) for field in fields(Settings)}
    with named_as_typed(ARGUMENTS):
        transfer = prepare(options.content, *options.styles, weights=weights, say=_warn, **words)
    return _descend(transfer, out, options.preview)


def _descend(transfer: "Transfer", out: Path, preview: int | None) -> int:
    from unitmean.disk.progress import Bar
    from unitmean.style.losses import Losses, Picture
    from unitmean.style.pictures import write_picture

    descent = transfer.descent
    height, width = transfer.content.shape[2:]
    what = f"{descent.steps} steps" + (f" at each of {descent.scales} sizes" if descent.scales > 1 else "")
    print(f"{width}x{height} pixels, {what}: {transfer.forecast()}", file=sys.stderr)
    reached, latest = 0, transfer.content
    with Bar("stylising", descent.steps * descent.scales, "steps") as bar:

        def on_step(step: int, losses: Losses, picture: Picture) -> None:
            nonlocal reached, latest
            reached, latest = step, picture
            bar.advance(step > 0)
            bar.note(f"loss {losses.total:.3g}")
            if preview and step and step % preview == 0 and picture.shape == transfer.content.shape:
                write_picture(out, transfer.shown(picture))

        try:
            result = transfer.run(on_step)
        except (Exception, KeyboardInterrupt) as error:
            if not (interrupted(error) and reached):
                raise
            write_picture(out, transfer.shown(latest) if latest.shape == transfer.content.shape else latest)
            print(f"\ninterrupted: {out} is the picture after {reached} steps", file=sys.stderr)
            return INTERRUPTED
    write_picture(out, result.picture)
    correction = "authors" if transfer.weights.by_channels else "equal"
    shares = ", ".join(f"{layer} {share:.1%}" for layer, share in result.start.shares.items())
    print(f"style loss at the start ({correction} layer weights): {shares}")
    steps = len(result.losses) - descent.scales
    print(f"{out}: loss fell by {result.decrease:.1%} in {steps} steps")
    return 0


def _require(options: argparse.Namespace) -> Path:
    """The path to write; ConfigError for options that can't work, DiskError where it can't be written."""
    pictures = [("CONTENT", options.content), *(("STYLE", style) for style in options.styles)]
    for name, picture in [*pictures, *(("a mask", mask) for mask in options.masks or ())]:
        if not picture.is_file():
            found = "a folder" if picture.is_dir() else "nothing"
            raise ConfigError(
                f"{name} must be a picture; found {found} at {str(picture)!r}: "
                "name a JPEG or PNG that is there"
            )
    if options.preview is not None and options.preview < 1:
        raise ConfigError(f"--preview must be at least 1; found {options.preview}: raise it")
    Settings(**{f.name: getattr(options, f.name) for f in fields(Settings)}).check(len(options.styles))
    out: Path = options.out or Path("_".join(picture.stem for _, picture in pictures) + ".png")
    if out.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"--out must name a PNG or JPEG file; found {str(out)!r}: let it end in .png or .jpg"
        )
    if used := written_over(out, _read(options)):
        raise ConfigError(
            f"--out must not be a file that is read; found {str(out)!r}, which is {str(used)!r}: name another"
        )
    require_writable(out)
    return out


def _read(options: argparse.Namespace) -> list[Path]:
    weights = [Path(options.weights)] if options.weights else []
    return [options.content, *options.styles, *(options.masks or ()), *weights]


def _warn(words: str) -> None:
    print(f"warning: {words}", file=sys.stderr)


def _normalised() -> Path:
    """The normalised file of the project that the current folder lies in; ConfigError unless it is proved."""
    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if (folder / "dvc.yaml").is_file()), here)
    found = sorted(root.glob("data/*/normalised.safetensors"))
    if len(found) != 1:
        shown = ", ".join(str(path) for path in found) or "none"
        raise ConfigError(
            f"stylise needs weights; found {shown} in {str(root / 'data')!r}: give --weights FILE, or a "
            "network's name as --weights vgg19; `unitmean normalise` or `unitmean repro` make normalised ones"
        )
    if not (passed := proved(found[0])):
        why = "a proof of it that failed" if passed is False else "no proof of it as it is"
        raise ConfigError(
            f"stylise takes by itself only weights that are proved; found {str(found[0])!r} and, in {PROOF} "
            f"beside it, {why}: run `unitmean repro`, or give --weights FILE"
        )
    return found[0]
