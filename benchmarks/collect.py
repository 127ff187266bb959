"""How fast channel means are collected: the usual scripts' ways against this package's, on the same JPEGs.

    python benchmarks/collect.py FOLDER [--images 64] [--repeats 3] [--size 224] [--model vgg19] …

With --device cuda, and without a folder, gpu.py's table for a GPU instead: it draws its images.

FOLDER holds JPEGs. Every contender runs in a process of its own, start-up and warm-up outside the clock;
rounds are interleaved, so that a slow minute of the machine hits all of them. Prints a Markdown table:
images/s are the median of the rounds, peak memory is that of the process without its workers, the share is
of the matrix product's measured rate in the same precision. Weights are the seeded ones: speed doesn't
depend on them, bfloat16's error does.
"""

import argparse
import datetime
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from contenders import BFLOAT16
from safetensors.torch import save_file

from unitmean.networks.seeded import seeded
from unitmean.pipeline.measure.automatic import BATCH

CONTENDERS = {
    "a": "PIL, torchvision transforms, DataLoader, hooks, float32",
    "b": "the same, one pass per layer",
    "c": "Keras, a sub-model per layer (corleypc's way)",
    "d": "unitmean, float32",
    "e": "unitmean, bfloat16",
    "f": "unitmean, bfloat16, corrected",
    "g": "unitmean, float32, compiled",
    "h": "unitmean, bfloat16, compiled",
    "i": "unitmean, bfloat16, compiled, corrected",
}
PASSED = ("images", "size", "model", "batch_size", "usual_batch_size", "control_images")
HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--images", type=int, help="64, on a GPU 16384")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--model", default="vgg19")
    parser.add_argument("--batch-size", type=int, default=BATCH["cpu"])
    parser.add_argument("--usual-batch-size", type=int, default=8, help="of (a), (b) and (c)")
    parser.add_argument(
        "--control-images", type=int, default=8, help="measured in float32 too, by (f) and (i)"
    )
    parser.add_argument("--only", default="".join(CONTENDERS), help="letters of the contenders")
    parser.add_argument("--json", type=Path, help="write every measurement here too")
    options = parser.parse_args()
    if options.device == "cuda" or options.folder is None:
        import gpu

        options.images = options.images or 16384
        return gpu.run(options)
    options.images = options.images or 64
    letters = [letter for letter in options.only if letter != "c" or find_spec("keras")]
    runs: dict[str, list[dict[str, float]]] = {letter: [] for letter in letters}
    with tempfile.TemporaryDirectory() as folder:
        # A file, as in life: making the weights takes more memory than using them.
        options.weights = Path(folder) / "weights.safetensors"
        save_file(seeded(options.model, 0, 3.0), options.weights)
        for _ in range(options.repeats):
            for letter in letters:
                runs[letter].append(contend(letter, options))
        rates = contend("gemm", options)
    print(table(runs, rates, options))
    if options.json:
        options.json.write_text(json.dumps({"runs": runs, "gemm": rates}, indent=2) + "\n")


def contend(letter: str, options: argparse.Namespace) -> dict[str, float]:
    settings = {name: getattr(options, name) for name in PASSED}
    settings |= {"weights": str(options.weights), "folder": str(options.folder.resolve())}
    command = [sys.executable, str(HERE / "contenders.py"), letter, json.dumps(settings)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"contender {letter} failed:\n{result.stderr[-2000:]}")
    found: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return found


def table(
    runs: dict[str, list[dict[str, float]]], rates: dict[str, float], options: argparse.Namespace
) -> str:
    speed = {
        letter: statistics.median(run["images"] / run["seconds"] for run in found)
        for letter, found in runs.items()
    }
    lines = [
        f"{datetime.date.today()}, {cpu()}, {options.model} at {options.size} pixels, "
        f"{options.images} JPEGs, "
        f"{options.repeats} rounds; matrix product: {rates['float32'] / 1e9:.0f} GFLOP/s in float32, "
        f"{rates['bfloat16'] / 1e9:.0f} in bfloat16.",
        "",
        "| | contender | images/s | against (a) | share of matrix product | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    for letter, found in runs.items():
        share = speed[letter] * found[0]["flop"] / rates["bfloat16" if letter in BFLOAT16 else "float32"]
        ratio = f"{speed[letter] / speed['a']:.2f}" if "a" in speed else ""
        peak = max(run["peak"] for run in found)
        lines.append(
            f"| {letter} | {CONTENDERS[letter]} | {speed[letter]:.2f} | {ratio} | {share:.0%} "
            f"| {peak:.2f} GiB |"
        )
    if ours := [run for letter in "d" for run in runs.get(letter, [])]:
        parts = {
            name: statistics.median(run[name] for run in ours) for name in ours[0] if name.startswith("part_")
        }
        shares = ", ".join(f"{name[5:]} {seconds * 1000:.1f} ms" for name, seconds in parts.items())
        lines += ["", f"Of (d), each image, alone: {shares}."]
    for letter in BFLOAT16:
        if letter in runs:
            first = runs[letter][0]
            lines += [
                "",
                f"({letter}) against float32 over the same images: median channel off by "
                f"{first['error']:.1e}, of those with positions {first['error_of_maps']:.1e}.",
            ]
    return "\n".join(lines)


def cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
        lines = [
            line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")
        ]
        return f"{len(lines)} cores of {lines[0]}"
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
