"""One contender of collect.py, in a process of its own: prints seconds, peak memory and error as JSON."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from memory import memory
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models
from torchvision.transforms import v2

from unitmean.decode import decode
from unitmean.graph.analysis import analyse
from unitmean.networks.architectures import build
from unitmean.networks.inputs import TORCHVISION
from unitmean.pipeline.disk.frames import write_parquet
from unitmean.pipeline.index.batches import batches
from unitmean.pipeline.index.containers import list_images
from unitmean.pipeline.index.index import Index, build_rows
from unitmean.pipeline.index.pixels import pixels
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.measure.collecting import check, collect
from unitmean.pipeline.measure.measurement import Measurement
from unitmean.pipeline.measure.tables import to_frame

BFLOAT16 = "efhi"  # letters of the contenders that compute in it


class Photographs(Dataset[Tensor]):
    """As in a thousand scripts."""

    def __init__(self, index: Index, size: int) -> None:
        self.index = index
        self.transform = v2.Compose(
            [
                v2.Resize((size, size), antialias=True),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(TORCHVISION.mean, TORCHVISION.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> Tensor:
        row = self.index.rows[i]
        found: Tensor = self.transform(decode(self.index.read(row), row.name))
        return found


def usual(index: Index, settings: dict[str, Any], *, layer_by_layer: bool) -> Any:
    """Hooks on every rectifier; for (b) one pass for each of them, as means are usually divided out."""
    module = models.get_model(settings["model"], weights=None).eval()
    module.load_state_dict(load_file(settings["weights"]))
    rectifiers = [part for part in module.modules() if isinstance(part, nn.ReLU)]

    def run(index: Index) -> None:
        loader = DataLoader(Photographs(index, settings["size"]), settings["usual_batch_size"], num_workers=2)
        for group in [[part] for part in rectifiers] if layer_by_layer else [rectifiers]:
            sums: dict[nn.Module, Tensor] = {}

            def hook(part: nn.Module, _: Any, output: Tensor, sums: dict[nn.Module, Tensor] = sums) -> None:
                means = output.mean((2, 3)) if output.ndim == 4 else output
                sums[part] = sums.get(part, torch.zeros(means.shape[1])) + means.sum(0)

            handles = [part.register_forward_hook(hook) for part in group]
            with torch.no_grad():
                for x in loader:
                    module(x)
            for handle in handles:
                handle.remove()

    return run


def ours(
    index: Index, settings: dict[str, Any], precision: str, *, correct: bool, compile: bool = False
) -> Any:
    measurement = measurement_of(settings, precision, compile=compile)

    def run(index: Index) -> dict[str, Tensor]:
        with tempfile.TemporaryDirectory() as folder:
            sums = collect(measurement, index, 64, Path(folder)).sums
            if correct:
                images = index.head(min(len(index), settings["control_images"]))
                precise = measurement.with_precision("float32")
                sums = check(precise, measurement, images, Path(folder), correct=True).mended(sums)
            write_parquet(Path(folder) / "statistics.parquet", [to_frame(sums)], {})
        return {site: moments.expectation() for site, moments in sums.items()}

    return run


def measurement_of(settings: dict[str, Any], precision: str, *, compile: bool = False) -> Measurement:
    network = build(settings["model"], load_file(settings["weights"]), input=TORCHVISION)
    size = settings["size"]
    plan = analyse(network.module, torch.zeros(1, 3, size, size))
    return Measurement(
        network,
        plan.sites,
        Preprocessing("warp", size),
        settings["batch_size"],
        {},
        precision,
        "cpu",
        compile,
    )


def keras_way(index: Index, settings: dict[str, Any]) -> Any:
    """github.com/corleypc/vgg-normalize: a sub-model up to each layer predicts all images in turn."""
    import keras
    import numpy as np

    model = getattr(keras.applications, settings["model"].upper())(weights=None)
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]

    def run(index: Index) -> None:
        data = Photographs(index, settings["size"])
        x = np.stack([data[i].permute(1, 2, 0).numpy() for i in range(len(data))])
        for layer in layers:
            keras.Model(model.input, layer.output).predict(x, settings["usual_batch_size"], verbose=0).mean(
                (0, 1, 2)
            )

    return run


def gemm(n: int = 2048, seconds: float = 3.0) -> dict[str, float]:
    """Operations a second of a square matrix product: the best within `seconds`, of a small one if slow."""
    found = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        quick = _fastest(n // 8, dtype, seconds / 3)
        size = n if quick * 8**3 < seconds else n // 8
        found[name] = 2 * size**3 / _fastest(size, dtype, seconds)
    return found


def _fastest(n: int, dtype: torch.dtype, seconds: float) -> float:
    a, b = (torch.rand(n, n).to(dtype) for _ in range(2))
    best, stop = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < stop:
        started = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - started)
    return best


def nothing(activation: Tensor, _: int) -> Tensor:
    """In a reduction's place; a view would keep the activation."""
    return activation.new_empty(0)


def parts(index: Index, settings: dict[str, Any]) -> dict[str, float]:
    """Seconds an image that each part of our float32 way takes by itself."""
    from unitmean.graph.observe import reduce_at, without_gradient
    from unitmean.statistics.moments import per_image

    measurement = measurement_of(settings, "float32")
    preprocessing, count = measurement.preprocessing, min(len(index), settings["batch_size"])
    index = index.head(count)
    module = measurement.network.module.to(memory_format=torch.channels_last)
    example = torch.zeros(1, 3, settings["size"], settings["size"])
    forward = without_gradient(reduce_at(module, example, measurement.sites, nothing))
    reducing = without_gradient(reduce_at(module, example, measurement.sites, per_image))
    x = measurement.network.input.apply(next(batches(index, preprocessing, count)))
    x = x.contiguous(memory_format=torch.channels_last)

    def seconds(work: Any) -> float:
        work()
        taken = []
        for _ in range(3):
            started = time.perf_counter()
            work()
            taken.append(time.perf_counter() - started)
        return float(min(taken) / count)

    images = [pixels(index.read(row), row.name) for row in index.rows]
    forward_seconds, both = seconds(lambda: forward(x)), seconds(lambda: reducing(x))
    with tempfile.TemporaryDirectory() as folder:
        sums = measurement.of(index.head(1), lambda _: None)
        writing = (
            seconds(lambda: write_parquet(Path(folder) / "a.parquet", [to_frame(sums)], {})) * count / 64
        )
    return {
        "part_decode": seconds(lambda: [pixels(index.read(row), row.name) for row in index.rows]),
        "part_resize": seconds(lambda: [preprocessing(image) for image in images]),
        "part_forward": forward_seconds,
        "part_reduction": max(0.0, both - forward_seconds),
        "part_writing": writing,
    }


def main() -> None:
    letter, settings = sys.argv[1], json.loads(sys.argv[2])
    if letter == "gemm":
        return print(json.dumps(gemm()))
    folder = Path(settings["folder"])
    rows, _ = build_rows(folder, list_images(folder), str(folder), seed=0, skip=True)
    index = Index(tuple((rows * (settings["images"] // len(rows) + 1))[: settings["images"]]), folder)
    makers = {
        "a": lambda: usual(index, settings, layer_by_layer=False),
        "b": lambda: usual(index, settings, layer_by_layer=True),
        "c": lambda: keras_way(index, settings),
        "d": lambda: ours(index, settings, "float32", correct=False),
        "e": lambda: ours(index, settings, "bfloat16", correct=False),
        "f": lambda: ours(index, settings, "bfloat16", correct=True),
        "g": lambda: ours(index, settings, "float32", correct=False, compile=True),
        "h": lambda: ours(index, settings, "bfloat16", correct=False, compile=True),
        "i": lambda: ours(index, settings, "bfloat16", correct=True, compile=True),
    }
    run = makers[letter]()
    run(index.head(min(len(index), settings["batch_size"])))  # compiles, allocates, warms caches
    started = time.perf_counter()
    means = run(index)
    seconds = time.perf_counter() - started
    peak = memory("VmHWM")
    found = {"images": len(index), "seconds": seconds, "peak": peak, "flop": flop(settings)}
    if letter in BFLOAT16:
        measurement = measurement_of(settings, "float32")
        with tempfile.TemporaryDirectory() as scratch:
            sums = collect(measurement, index, 64, Path(scratch)).sums
        exact = {site: moments.expectation() for site, moments in sums.items()}
        errors = {site: (means[site] / exact[site] - 1).abs()[exact[site] > 0] for site in exact}
        found["error"] = float(torch.cat(list(errors.values())).median())
        maps = {measurement.network.layer(site.name) for site in measurement.sites if len(site.shape) > 2}
        found["error_of_maps"] = float(torch.cat([errors[site] for site in maps]).median())
    if letter == "d":
        found |= parts(index, settings)
    print(json.dumps(found))


def flop(settings: dict[str, Any]) -> float:
    """Operations of one forward pass, a multiplication and an addition counted as two."""
    module = models.get_model(settings["model"], weights=None).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, 3, settings["size"], settings["size"]))
    return float(counter.get_total_flops())


if __name__ == "__main__":
    main()
