"""How far float16 moves channel means, layer by layer, by a CPU that rounds as a GPU does.

    python benchmarks/precision.py [FOLDER_OF_JPEGS] [--images 384] [--pixels 224] [--model vgg19]
                                   [--weights FILE.safetensors] [--input torchvision]

Weights, the input and what every layer puts out are rounded to float16's eleven bits; sums inside a layer are
float32's, as on a GPU. Exponents are not bounded: `collect.precision=float16` brings channels into range by
powers of two. The correction is `collect.correct`'s, from the first 32 images. Without a folder it draws its
images, without weights they are the seeded ones. Prints, over the channels of each layer, the median and the
worst relative error of a mean, plain and corrected, and the corrected one's as a share of the mean's standard
error.
"""

import argparse
import io
from collections import defaultdict
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from gpu import draw
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.transforms.functional import pil_to_tensor, resize

from unitmean.networks.architectures import build
from unitmean.networks.inputs import INPUTS
from unitmean.networks.seeded import seeded
from unitmean.statistics.control import Control, trust
from unitmean.statistics.moments import Moments, per_image

BATCH, CONTROL = 8, 32


def rounded(x: Tensor) -> Tensor:
    """To eleven bits of mantissa, with an exponent of any size."""
    mantissa, exponent = torch.frexp(x)
    return torch.ldexp((mantissa * 2**11).round() / 2**11, exponent)


def observed(module: nn.Module, *, half: bool) -> Callable[[Tensor], dict[str, Tensor]]:
    """A batch's statistics, image by image, behind each rectifier of a module with hooks."""
    module = deepcopy(module)
    found: dict[str, Tensor] = {}

    def rounding(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        return rounded(output)

    def observing(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda _, __, output: found.update({name: per_image(output, 1)})

    for name, part in module.named_modules():
        if half and not list(part.children()):
            part.register_forward_hook(rounding)
        if isinstance(part, nn.ReLU):
            part.inplace = False
            part.register_forward_hook(observing(name))
    if half:
        for parameter in module.parameters():
            parameter.data = rounded(parameter.data)

    def run(x: Tensor) -> dict[str, Tensor]:
        found.clear()
        module(rounded(x) if half else x)
        return dict(found)

    return run


def pictures(folder: Path | None, images: int, pixels: int) -> Iterator[Tensor]:
    files = sorted(folder.iterdir())[:images] if folder else [io.BytesIO(draw(n)) for n in range(images)]
    for i in range(0, len(files), BATCH):
        batch = [pil_to_tensor(Image.open(file).convert("RGB")) for file in files[i : i + BATCH]]
        yield torch.stack([resize(image, [pixels, pixels]) for image in batch]).float() / 255


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--images", type=int, default=384)
    parser.add_argument("--model", default="vgg19")
    parser.add_argument("--weights", type=Path, help="in torchvision's names")
    parser.add_argument("--input", choices=INPUTS, default="torchvision", help="what the weights expect")
    parser.add_argument("--pixels", type=int, default=224)
    options = parser.parse_args()
    state = load_file(options.weights) if options.weights else seeded(options.model, 0, 3.0)
    network = build(options.model, state, input=INPUTS[options.input])
    both = [observed(network.module, half=half) for half in (False, True)]
    shown: dict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
    with torch.inference_mode():
        for batch in pictures(options.folder, options.images, options.pixels):
            exact, fast = (run(network.input.apply(batch)) for run in both)
            for site in exact:
                shown[site].append((exact[site], fast[site]))
    print(
        "| layer | channels | plain: median, worst | corrected | in standard errors |\n|---|---:|---|---|---|"
    )
    for site, pairs in shown.items():
        print(row(site, *(torch.cat(side, 1) for side in zip(*pairs, strict=True))))


def row(site: str, exact: Tensor, fast: Tensor) -> str:
    def control(images: slice) -> Control:
        return Control(Moments.of(exact[:, images]), Moments.of(fast[:, images]))

    halves = [control(slice(0, CONTROL // 2)), control(slice(CONTROL // 2, CONTROL))]
    whole = control(slice(None))
    precise, ratio = whole.precise.expectation(), (halves[0] + halves[1]).ratio ** trust(halves)
    live = precise > 0
    plain, corrected = whole.fast.expectation()[live], (whole.fast.expectation() * ratio)[live]
    errors = [(means / precise[live] - 1).abs() for means in (plain, corrected)]
    errors.append((corrected - precise[live]).abs() / whole.precise.standard_error()[live])
    cells = (f"{found.median():.1e}, {found.max():.1e}" for found in errors)
    return f"| {site} | {int(live.sum())} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
