"""Seconds per L-BFGS iteration of style transfer, against the loop of PyTorch's tutorial, in the same run.

    python benchmarks/style.py --size 128 --steps 8
    python benchmarks/style.py --size 512 --steps 300 --rounds 1 --device cuda

Both have the same random weights, layers, pictures, average pooling and threads, take turns, and start anew
each round. The tutorial's way: a Sequential with loss modules in between, L-BFGS with full steps. Prints a
Markdown table. Ours evaluates more than once in an iteration whose full step doesn't lead down, so that the
seconds per evaluation stand beside; what an evaluation costs is forward and backward through the network.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn

from unitmean.networks.architectures import build
from unitmean.networks.features import features
from unitmean.networks.inputs import TORCHVISION
from unitmean.networks.seeded import well_behaved
from unitmean.networks.skeleton import skeleton
from unitmean.style.losses import LossWeights
from unitmean.style.stylise import Descent, stylise

CONTENT, STYLE = "relu4_2", ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
Timing = tuple[float, float]  # seconds an iteration, seconds an evaluation


class Loss(nn.Module):
    """Lets its input through and remembers how far it is from the target."""

    def __init__(self, of: Callable[[Tensor], Tensor], target: Tensor) -> None:
        super().__init__()
        self.of, self.target = of, of(target).detach()
        self.loss = torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        self.loss = nn.functional.mse_loss(self.of(x), self.target)
        return x


def gram(x: Tensor) -> Tensor:
    flat = x.flatten(2).squeeze(0)
    return flat @ flat.mT / x.numel()


def tutorial(layers: dict[str, nn.Module], content: Tensor, style: Tensor, steps: int) -> Timing:
    """One run, as the tutorial is written."""
    model, losses = nn.Sequential(), []
    mean = torch.tensor(TORCHVISION.mean, device=content.device).view(1, 3, 1, 1)
    std = torch.tensor(TORCHVISION.std, device=content.device).view(1, 3, 1, 1)
    seen, painted = (content - mean) / std, (style - mean) / std
    with torch.no_grad():
        for name, layer in layers.items():
            model.append(layer)
            seen, painted = layer(seen), layer(painted)
            if name == CONTENT:
                losses.append((1.0, Loss(lambda x: x, seen)))
                model.append(losses[-1][1])
            if name in STYLE:
                losses.append((1e6, Loss(gram, painted)))
                model.append(losses[-1][1])
    picture = content.clone().requires_grad_()
    optimiser, evaluations = torch.optim.LBFGS([picture], max_iter=steps), 0

    def closure() -> Tensor:
        nonlocal evaluations
        evaluations += 1
        with torch.no_grad():
            picture.clamp_(0, 1)
        optimiser.zero_grad()
        model((picture - mean) / std)
        total = sum((weight * loss.loss for weight, loss in losses), torch.zeros((), device=picture.device))
        total.backward()
        return total

    begun = _now(content)
    optimiser.step(closure)
    taken = _now(content) - begun
    return taken / optimiser.state[picture]["n_iter"], taken / evaluations


def ours(seen: Callable[[Tensor], dict[str, Tensor]], content: Tensor, style: Tensor, steps: int) -> Timing:
    """One run of unitmean's, timed from the first loss on."""
    evaluations, begun, ended = 0, 0.0, 0.0

    def counted(picture: Tensor) -> dict[str, Tensor]:
        nonlocal evaluations
        evaluations += picture.requires_grad
        return seen(picture)

    def on_step(step: int, losses: object, picture: Tensor) -> None:
        nonlocal begun, ended, evaluations
        ended = _now(content)
        if step == 0:
            begun, evaluations = ended, 0

    weights = LossWeights(CONTENT, STYLE, 1.0, 2000.0)
    result = stylise(counted, content, style, weights=weights, descent=Descent(steps), on_step=on_step)
    return (ended - begun) / (len(result.losses) - 1), (ended - begun) / evaluations


def _now(on: Tensor) -> float:
    if on.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    places = {key: value for key, value in well_behaved(skeleton("vgg19"), 0).items() if "features" in key}
    network = build("vgg19", places, pooling="avg", input=TORCHVISION).to(options.device)
    by_name = {name: network.module.get_submodule(p) for p, name in network.layers.items()}
    needed: dict[str, nn.Module] = {}
    for name, layer in by_name.items():
        needed[name] = layer
        if name == "relu5_1":
            break
    generator = torch.Generator().manual_seed(0)
    content = torch.rand(1, 3, options.size, options.size, generator=generator).to(options.device)
    style = torch.rand(1, 3, options.size, options.size, generator=generator).to(options.device) ** 2
    seen = features(network, content, [*STYLE, CONTENT])
    runs: dict[str, list[Timing]] = {"tutorial": [], "unitmean": []}
    for i in range(options.rounds + 1):  # the first warms up
        steps = options.steps if i else min(options.steps, 10)
        pair = {
            "tutorial": tutorial(needed, content, style, steps),
            "unitmean": ours(seen, content, style, steps),
        }
        for name, timing in pair.items():
            if i:
                runs[name].append(timing)
    place = torch.cuda.get_device_name() if options.device == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"VGG-19 to relu5_1, {options.size} x {options.size} pixels, {place}, ")
    print(f"torch {torch.__version__}, {options.steps} iterations, median of {options.rounds} rounds\n")
    print("| loop | seconds an iteration | seconds an evaluation | evaluations an iteration |")
    print("|---|---|---|---|")
    for name, timings in runs.items():
        iteration, evaluation = (median(values) for values in zip(*timings, strict=True))
        print(f"| {name} | {iteration:.3f} | {evaluation:.3f} | {iteration / evaluation:.2f} |")


if __name__ == "__main__":
    main()
