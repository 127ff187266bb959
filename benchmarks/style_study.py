"""How alike are the style layers of a trained VGG-16, by what was made one, and how it was measured and used?

    python benchmarks/style_study.py WEIGHTS PHOTOGRAPHS PICTURES OUT --device cuda

WEIGHTS: VGG-16's convolutions (Caffe's pixels) under torchvision's keys, in safetensors. PHOTOGRAPHS: a
folder of a few hundred. PICTURES: a folder with content/ and style/. Into OUT go

* starts.csv: every pair, size and network; each style layer's share of the style loss of the content picture,
  layers weighed alike (the authors' correction: by 1/channels^2), and the spread, loudest over quietest;
* summary.csv: the spread's median with its 95% interval (bootstrap over pairs), best and worst;
* ends.csv: the same after a descent, with how far the loss fell and how long it took;
* gallery/: pictures, and a strip of each pair; settings.json: what it was run with.

A rescaled network's activations are the original's divided by the channels' factors. So one pass over a
picture gives the losses of every network that is compared at the start; the descents use networks that were
rescaled.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from style_gallery import gallery
from torch import Tensor

import unitmean
from unitmean.graph.plan import Plan
from unitmean.networks.architectures import Network, Padding, Pooling, build
from unitmean.networks.features import features
from unitmean.networks.inputs import CAFFE
from unitmean.style.gram import gram
from unitmean.style.losses import LossWeights, Picture, content_loss, losses_at_start
from unitmean.style.pictures import content_picture, style_picture
from unitmean.style.stylise import Descent, stylise

STYLES, CONTENT = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), "relu4_2"
STATISTICS = ("mean", "rms", "max", "quantile")
LAST = 24  # features.24 is conv5_1
# (pooling, padding) that the network is used with
USES: tuple[tuple[Pooling, Padding], ...] = (("avg", "zeros"), ("max", "zeros"), ("avg", "reflect"))
BATCH = 20
# The style loss at the start over the content loss expected of two photographs: what the balance of content
# and style is in every network alike, so that only the layers' shares differ.
RATIO = 30.0
DESCENTS = {  # column of ends.csv: network, measured with pooling
    "original, layers alike": "original",
    "original, authors' correction": "authors",
    "mean one, measured with max pooling (the paper's way)": "mean/max/zeros/warp",
    "mean one": "mean/avg/zeros/warp",
    "root mean square one": "rms/avg/zeros/warp",
    "root mean square one, layers balanced": "rms/avg/zeros/warp/balanced",
}


class Variant(NamedTuple):
    """A network: each layer's factors by channel, the factors of its plan, and whether 1/n^2 is applied."""

    layers: dict[str, Tensor]
    factors: Tensor | None = None
    by_channels: bool = False


class Study:
    """The weights, the photographs, and what follows from them."""

    def __init__(self, weights: Path, photographs: Path, images: int, device: str) -> None:
        state = load_file(weights)
        self.state = {
            name: tensor
            for name, tensor in state.items()
            if name.startswith("features.") and int(name.split(".")[1]) <= LAST
        }
        self.device = torch.device(device)
        paths = sorted(path for path in photographs.iterdir() if path.is_file())[:images]
        self.photographs = {
            "warp": [_square(path, warp=True) for path in paths],
            "crop": [_square(path, warp=False) for path in paths],
        }

    def network(self, pooling: Pooling, padding: Padding, state: dict[str, Tensor] | None = None) -> Network:
        built = build("vgg16", state or self.state, pooling=pooling, padding=padding, input=CAFFE)
        return built.to(str(self.device))

    def batches(self, network: Network, preprocess: str) -> list[Tensor]:
        stacked = self.photographs[preprocess]
        whole = [torch.cat(stacked[i : i + BATCH]) for i in range(0, len(stacked), BATCH)]
        return [network.input.apply(batch.to(self.device)) for batch in whole]

    def variants(self) -> dict[str, Variant]:
        """Every network compared, by statistic, and pooling, padding and preprocessing of its measurement."""
        found = {"original": Variant({}), "authors": Variant({}, by_channels=True)}
        for pooling in ("max", "avg"):
            for padding in ("zeros", "reflect"):
                network = self.network(pooling, padding)
                plan: Plan = unitmean.analyse(
                    network.module, torch.zeros(1, 3, 64, 64, device=self.device), outputs="normalise"
                )
                for preprocess in self.photographs:
                    sums = unitmean.measure(
                        network.module, self.batches(network, preprocess), plan, histograms=True
                    )
                    for statistic in STATISTICS:
                        factors = unitmean.factors(plan, sums, statistic=statistic)
                        layers = {
                            network.layer(s.name): factors[s.variables].to(self.device) for s in plan.sites
                        }
                        found[f"{statistic}/{pooling}/{padding}/{preprocess}"] = Variant(layers, factors)
        self.plan, self.names = plan, {site.name: network.layer(site.name) for site in plan.sites}
        return found | {
            f"{name}/balanced": self.balanced(variant, "avg", "zeros")
            for name, variant in found.items()
            if name.endswith("/avg/zeros/warp")
        }

    def balanced(self, variant: Variant, pooling: Pooling, padding: Padding) -> Variant:
        """One more factor a layer: the expected loss of two photographs becomes one, in each style layer.

        The expectation is the geometric mean over pairs: a spread is a ratio.
        """
        losses = self.expected(variant, pooling, padding)
        assert variant.factors is not None
        factors = variant.factors.clone()
        layers = dict(variant.layers)
        by_name = {self.names[site.name]: site for site in self.plan.sites}
        for layer, loss in losses.items():
            more = loss ** (0.5 if layer == CONTENT else 0.25)
            layers[layer] = layers[layer] * more
            factors[by_name[layer].variables] *= more
        return variant._replace(layers=layers, factors=factors)

    def expected(self, variant: Variant, pooling: Pooling, padding: Padding) -> dict[str, float]:
        """The geometric mean of each style layer's and the content layer's loss over pairs of photographs."""
        network = self.network(pooling, padding)
        photographs = self.photographs["warp"]
        seen = features(network, photographs[0].to(self.device), [*STYLES, CONTENT])
        losses: dict[str, list[float]] = {layer: [] for layer in (*STYLES, CONTENT)}
        last: dict[str, Tensor] | None = None
        with torch.no_grad():
            for photograph in photographs:
                found = _divided(seen(photograph.to(self.device)), variant)
                here = {layer: gram(found[layer]) for layer in STYLES} | {CONTENT: found[CONTENT]}
                if last is not None:
                    for layer in STYLES:
                        losses[layer].append(_layer_loss(here[layer] - last[layer], found[layer]))
                    losses[CONTENT].append(content_loss(here[CONTENT], last[CONTENT]).item())
                last = here
        return {layer: float(np.exp(np.mean(np.log(each)))) for layer, each in losses.items()}


def starts(study: Study, variants: dict[str, Variant], pictures: Path, sizes: list[int]) -> pd.DataFrame:
    """A row a pair, size, use and network."""
    rows = []
    for pixels in sizes:
        for pooling, padding in USES:
            network = study.network(pooling, padding)
            for content_path in _in(pictures / "content"):
                content = content_picture(content_path, pixels).to(study.device)
                seen = features(network, content, STYLES)
                with torch.no_grad():
                    of_content = seen(content)
                    for style_path in _in(pictures / "style"):
                        style = style_picture(style_path, *content.shape[2:], seed=0).to(study.device)
                        of_style = seen(style)
                        differences = {k: (gram(of_content[k]) - gram(of_style[k])).double() for k in STYLES}
                        for name, variant in variants.items():
                            shares = _shares(differences, of_content, variant)
                            row = {
                                "pixels": pixels,
                                "used_pooling": pooling,
                                "used_padding": padding,
                                "network": name,
                                "content": content_path.stem,
                                "style": style_path.stem,
                                "spread": max(shares.values()) / min(shares.values()),
                            }
                            rows.append(row | {f"share_{k}": v for k, v in shares.items()})
    return pd.DataFrame(rows)


def _shares(differences: dict[str, Tensor], seen: dict[str, Tensor], variant: Variant) -> dict[str, float]:
    losses = {}
    for layer, difference in differences.items():
        factors = variant.layers.get(layer)
        if factors is not None:
            difference = difference / torch.outer(factors, factors)
        losses[layer] = _layer_loss(difference, seen[layer])
        if variant.by_channels:
            losses[layer] /= len(difference) ** 2
    whole = sum(losses.values())
    return {layer: loss / whole for layer, loss in losses.items()}


def _layer_loss(difference: Tensor, activation: Tensor) -> float:
    _, channels, height, width = activation.shape
    return float(difference.double().square().sum() / (4 * channels**2 * (height * width) ** 2))


def _divided(seen: dict[str, Tensor], variant: Variant) -> dict[str, Tensor]:
    return {
        layer: activation / variant.layers[layer].to(activation.dtype).view(1, -1, 1, 1)
        if layer in variant.layers
        else activation
        for layer, activation in seen.items()
    }


def summary(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """The spread's median with a bootstrap interval over pairs, best and worst, and the median shares."""
    random = np.random.default_rng(0)
    rows = []
    for key, group in table.groupby(by, sort=False):
        spreads = group["spread"].to_numpy()
        again = np.median(random.choice(spreads, (2000, len(spreads))), axis=1)
        low, high = np.quantile(again, [0.025, 0.975])
        figures = {"pairs": len(spreads), "median": np.median(spreads), "low": low, "high": high}
        shares = {name: group[name].median() for name in table if str(name).startswith("share_")}
        rows.append(
            dict(zip(by, key, strict=True))
            | figures
            | {"best": spreads.min(), "worst": spreads.max()}
            | shares
        )
    return pd.DataFrame(rows).sort_values([*by[:-1], "median"])


class Descending(NamedTuple):
    """A network ready for descents, and the weights of content and style but for the ratio."""

    seen_of: Network
    variant: Variant
    content: float  # one over the content loss expected of two photographs


def descending(study: Study, variants: dict[str, Variant]) -> dict[str, Descending]:
    found = {}
    for title, name in DESCENTS.items():
        variant = variants[name]
        state = None if variant.factors is None else study.plan.rescale(variant.factors, study.state)
        expected = study.expected(variant, "avg", "zeros")[CONTENT]
        found[title] = Descending(study.network("avg", "zeros", state), variant, 1 / expected)
    return found


def descend(
    way: Descending, content: Picture, style: Picture, steps: int, ratio: float
) -> tuple[Picture, dict[str, float]]:
    """The picture, and the shares and spread at its end."""
    seen = features(way.seen_of, content, [*STYLES, CONTENT])
    weights = LossWeights(CONTENT, STYLES, way.content, 1.0, by_channels=way.variant.by_channels)
    at_start = losses_at_start(seen, content, style, weights)
    weights = replace(weights, style=ratio / sum(at_start.style.values()))
    begun = time.perf_counter()
    result = stylise(seen, content, style, weights=weights, descent=Descent(steps))
    last = result.losses[-1]
    figures = {
        "spread": last.spread,
        "spread_at_start": at_start.spread,
        "style_left": sum(last.style.values()) / ratio,
        "content_loss": last.content,
        "steps": len(result.losses) - 1,
        "seconds": time.perf_counter() - begun,
    }
    return result.picture, figures | {f"share_{k}": v for k, v in last.shares.items()}


def ends(
    ways: dict[str, Descending], study: Study, options: argparse.Namespace, until: float
) -> pd.DataFrame:
    """A row a pair and network, as many pairs as there is time for; and ten times less and more style."""
    contents, styles = _in(options.pictures / "content"), _in(options.pictures / "style")
    rows: list[dict[str, str | float]] = []
    for i in range(options.pairs):
        content_path, style_path = contents[i % len(contents)], styles[(i + i // len(contents)) % len(styles)]
        content = content_picture(content_path, options.pixels[0]).to(study.device)
        style = style_picture(style_path, *content.shape[2:], seed=0).to(study.device)
        for ratio in (RATIO,) if i else (RATIO, RATIO / 10, RATIO * 10):
            for title, way in ways.items():
                if time.perf_counter() > until:
                    print(f"no time for more descents: {len(rows)} were made")
                    return pd.DataFrame(rows)
                _, figures = descend(way, content, style, options.steps, ratio)
                names = {"network": title, "content": content_path.stem, "style": style_path.stem}
                rows.append({**names, "ratio": ratio, **figures})
    return pd.DataFrame(rows)


def _square(path: Path, *, warp: bool) -> Picture:
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    whole = rgb.resize((224, 224), Image.Resampling.BILINEAR) if warp else ImageOps.fit(rgb, (224, 224))
    return torch.from_numpy(np.array(whole)).permute(2, 0, 1)[None].float() / 255


def _in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("weights", "photographs", "pictures", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=200, help="photographs measured")
    parser.add_argument(
        "--pixels", type=int, nargs="+", default=[256, 512], help="longer side; the first descends"
    )
    parser.add_argument("--pairs", type=int, default=12, help="pairs that descend")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--gallery", nargs="*", default=[], metavar="CONTENT:STYLE")
    parser.add_argument("--gallery-pixels", type=int, default=640)
    parser.add_argument("--gallery-steps", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=200, help="no descent begins after so long")
    parser.add_argument("--tf32", action="store_true", help="in descents, not in statistics")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.backends.cudnn.allow_tf32 = False  # convolutions' default is ten bits
    begun = time.perf_counter()
    study = Study(options.weights, options.photographs, options.images, options.device)
    variants = study.variants()
    _said(begun, "statistics")
    table = starts(study, variants, options.pictures, options.pixels)
    table.to_csv(options.out / "starts.csv", index=False, float_format="%.5g")
    by = ["pixels", "used_pooling", "used_padding", "network"]
    summary(table, by).to_csv(options.out / "summary.csv", index=False, float_format="%.5g")
    _said(begun, "starts")
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()}
    facts = {"torch": torch.__version__, "ratio": RATIO, "content_expected": {}}
    ways = descending(study, variants)
    facts["content_expected"] = {title: 1 / way.content for title, way in ways.items()}
    (options.out / "settings.json").write_text(json.dumps(settings | facts, indent=1))
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = options.tf32
    until = begun + options.seconds
    ends(ways, study, options, until).to_csv(options.out / "ends.csv", index=False, float_format="%.5g")
    _said(begun, "descents")
    gallery(ways, descend, study.device, options, RATIO, until)
    _said(begun, "gallery")


def _said(begun: float, what: str) -> None:
    print(f"{what}: done after {time.perf_counter() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
