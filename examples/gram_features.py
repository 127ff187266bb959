"""Gram features of pictures: what they look like, less where; layers come out alike in size.

    python examples/gram_features.py data/vgg19/normalised.safetensors A.jpg B.jpg

Prints, for each layer, how far apart the pictures' styles are.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import unitmean


def gram_features(network: torch.nn.Module, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Mean product of each two channels over positions, by layer (Gatys et al. 2016, eq. 3)."""
    with torch.no_grad():
        found = network.activations(image, layers)
    return {layer: torch.einsum("nihw,njhw->nij", x, x) / x[0, 0].numel() for layer, x in found.items()}


def read(path: str, size: int) -> Tensor:
    image = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)[None]


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description="How far apart the styles of two pictures are.")
    parser.add_argument("weights", help="a normalised.safetensors")
    parser.add_argument("pictures", nargs=2)
    parser.add_argument("--layers", nargs="+", default=["relu1_1", "relu2_1", "relu3_1"])
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args(argv)

    network = unitmean.load(options.weights)
    a, b = (gram_features(network, read(path, options.size), options.layers) for path in options.pictures)
    distances = {layer: (a[layer] - b[layer]).square().mean().sqrt().item() for layer in options.layers}
    for layer, distance in distances.items():
        print(f"{layer}  {distance:.4f}")
    return distances


if __name__ == "__main__":
    main()
