"""A perceptual loss in a training loop: one weight for all layers, as their activations have mean one.

    python examples/perceptual_loss.py data/vgg19/normalised.safetensors

A small network learns to undo blur. Replace `pictures` by your own batches, RGB in [0, 1].
"""

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, mse_loss

import unitmean


def perceptual_loss(network: nn.Module, layers: Sequence[str], image: Tensor, target: Tensor) -> Tensor:
    """The mean squared difference of activations, layers weighing alike."""
    with torch.no_grad():
        wanted = network.activations(target, layers)
    found = network.activations(image, layers)
    return sum(mse_loss(found[layer], wanted[layer]) for layer in layers) / len(layers)


def main(argv: Sequence[str] | None = None) -> list[float]:
    parser = argparse.ArgumentParser(description="A perceptual loss in a training loop.")
    parser.add_argument("weights", help="a normalised.safetensors")
    parser.add_argument(
        "--layers", nargs="+", help="default: relu1_2, relu2_2 and relu3_2, if they are there"
    )
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args(argv)

    torch.manual_seed(0)
    network = unitmean.load(options.weights)
    usual = [layer for layer in ("relu1_2", "relu2_2", "relu3_2") if layer in network.names]
    layers = options.layers or usual
    student = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 3, 3, padding=1))
    optimiser = torch.optim.Adam(student.parameters(), lr=1e-2)
    pictures = torch.rand(4, 3, options.size // 4, options.size // 4)
    pictures = interpolate(pictures, size=(options.size, options.size), mode="bicubic").clamp(0, 1)
    losses = []
    for step in range(options.steps):
        blurred = interpolate(avg_pool2d(pictures, 4), scale_factor=4, mode="bilinear")
        image = (blurred + student(blurred)).clamp(0, 1)
        loss = perceptual_loss(network, layers, image, pictures)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        print(f"step {step}  loss {losses[-1]:.4f}")
    return losses


if __name__ == "__main__":
    main()
