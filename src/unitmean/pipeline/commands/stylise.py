"""`unitmean stylise`: a picture in another one's style, without the pipeline."""

import argparse
import sys
from pathlib import Path

from unitmean.disk.atomic import require_writable
from unitmean.ending import INTERRUPTED, interrupted
from unitmean.errors import ConfigError
from unitmean.pipeline.config.choices import Device, Init, LayerWeights, Optimiser, Pooling
from unitmean.pipeline.config.params import read_params
from unitmean.pipeline.config.project import find_root

EPILOG = """\
Style layers weigh alike with a normalised network, and by the authors' correction (1/channels^2) with any
other, unless --layer-weights says so. The method and its departures from the paper: docs/style.md.
"""
LEAST = 32  # pixels that pooling leaves something of


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("content", metavar="CONTENT", type=Path, help="the picture that keeps its content")
    parser.add_argument("style", metavar="STYLE", type=Path, help="the picture whose style it gets")
    parser.add_argument("--out", required=True, type=Path, help="the PNG to write")
    parser.add_argument(
        "--weights",
        type=Path,
        help="safetensors of the pipeline's; default: data/<model>/normalised.safetensors of params.yaml",
    )
    parser.add_argument("--size", type=int, default=512, help="longer side in pixels (512)")
    parser.add_argument("--steps", type=int, default=200, help="iterations at each size (200)")
    parser.add_argument("--scales", type=int, default=1, help="sizes from coarse to fine, doubling (1)")
    parser.add_argument("--pooling", choices=[p.name for p in Pooling], default="avg")
    parser.add_argument("--init", choices=[i.name for i in Init], default="content")
    parser.add_argument("--optimiser", choices=[o.name for o in Optimiser], default="lbfgs")
    parser.add_argument("--rate", type=float, default=0.02, help="Adam's step, of a pixel's range (0.02)")
    parser.add_argument("--content-layer", help="default: relu4_2, or the last style layer")
    parser.add_argument(
        "--style-layers", nargs="+", help="default: relu1_1 relu2_1 … as far as there are any"
    )
    parser.add_argument("--content-weight", type=float, default=1.0)
    parser.add_argument("--style-weight", type=float, default=2000.0)
    parser.add_argument("--layer-weights", choices=[w.name for w in LayerWeights])
    parser.add_argument("--preview", type=int, help="write the picture every so many steps")
    parser.add_argument("--device", choices=[d.name for d in Device], default="auto")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")


def run(options: argparse.Namespace) -> int:
    """Stylise, say how the layers share the loss, write the picture."""
    _require(options)
    # torch takes seconds, which a misspelt option shouldn't.
    from unitmean.device import choose_device
    from unitmean.disk.progress import Bar
    from unitmean.layouts.files import load_weights
    from unitmean.layouts.networks import read_network
    from unitmean.networks.features import features
    from unitmean.networks.transfer_layers import transfer_layers
    from unitmean.pipeline.transfer.shares import require_finite
    from unitmean.style.losses import Losses, LossWeights, Picture
    from unitmean.style.pictures import content_picture, style_picture, write_picture
    from unitmean.style.stylise import Descent, stylise

    content = content_picture(options.content, options.size)
    device = choose_device(options.device, "--device ")
    style = style_picture(options.style, *content.shape[2:], seed=options.seed).to(device)
    path = options.weights or _normalised()
    metadata = load_weights(path)[1]
    padding = metadata.get("statistics", {}).get("model", {}).get("padding", "zeros")
    network = read_network(path, str(metadata.get("model")), options.pooling, padding).network
    usual_content, usual_styles = transfer_layers(network, content)
    content, network = content.to(device), network.to(device)
    style_layers = options.style_layers or usual_styles
    content_layer = options.content_layer or usual_content
    correction = options.layer_weights or ("equal" if "rescale" in metadata else "authors")
    weights = LossWeights(
        content_layer,
        style_layers,
        options.content_weight,
        options.style_weight,
        by_channels=correction == "authors",
    )
    descent = Descent(
        options.steps, options.optimiser, options.init, options.scales, options.rate, options.seed
    )
    seen = features(network, content, list(dict.fromkeys([*style_layers, content_layer])))
    reached, latest = 0, content
    with Bar("stylising", options.steps * options.scales, "steps") as bar:

        def on_step(step: int, losses: Losses, picture: Picture) -> None:
            nonlocal reached, latest
            reached, latest = step, picture
            bar.advance(step > 0)
            bar.note(f"loss {losses.total:.3g}")
            if options.preview and step and step % options.preview == 0:
                write_picture(options.out, picture)

        try:
            result = stylise(seen, content, style, weights=weights, descent=descent, on_step=on_step)
        except (Exception, KeyboardInterrupt) as error:
            if not (interrupted(error) and reached):
                raise
            write_picture(options.out, latest)
            print(f"\ninterrupted: {options.out} is the picture after {reached} steps", file=sys.stderr)
            return INTERRUPTED
    require_finite({network.name: result})
    write_picture(options.out, result.picture)
    first, steps = result.losses[0], len(result.losses) - options.scales
    shares = ", ".join(f"{layer} {share:.1%}" for layer, share in first.shares.items())
    print(f"style loss at the start ({correction} layer weights): {shares}")
    fall = f"loss fell by {result.decrease:.1%}" if first.total else "there was no loss"
    print(f"{options.out}: {fall} in {steps} steps")
    return 0


def _require(options: argparse.Namespace) -> None:
    """ConfigError for what makes no picture, before any work; DiskError where --out can't be written."""
    for name in ("content", "style"):
        picture = getattr(options, name)
        if not picture.is_file():
            found = "a folder" if picture.is_dir() else "nothing"
            raise ConfigError(
                f"{name.upper()} must be a picture; found {found} at {str(picture)!r}: "
                "name a JPEG or PNG that is there"
            )
    for name, least in (("size", LEAST), ("steps", 1), ("scales", 1), ("preview", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise ConfigError(f"--{name} must be at least {least}; found {value}: raise it")
    if options.size >> (options.scales - 1) < LEAST:
        raise ConfigError(
            f"--size must leave {LEAST} pixels at the coarsest of --scales; found {options.size} and "
            f"{options.scales}: raise the size or take fewer scales"
        )
    if not (options.rate > 0 and options.content_weight >= 0 and options.style_weight > 0):
        raise ConfigError(
            "--rate and --style-weight must be positive, --content-weight not negative; found "
            f"{options.rate}, {options.style_weight} and {options.content_weight}: correct them"
        )
    if options.out.suffix.lower() != ".png":
        raise ConfigError(f"--out must name a PNG file; found {str(options.out)!r}: let it end in .png")
    require_writable(options.out)


def _normalised() -> Path:
    root = find_root()
    path: Path = root / "data" / read_params(root / "params.yaml")["model"]["name"] / "normalised.safetensors"
    if not path.is_file():
        raise ConfigError(
            f"stylise needs normalised weights; found none at {str(path)!r}: "
            "run `unitmean repro`, or give --weights"
        )
    return path
