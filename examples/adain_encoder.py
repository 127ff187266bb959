"""The AdaIN file in an AdaIN encoder: the network as those programs build it, nothing of unitmean needed.

    python examples/adain_encoder.py data/vgg19/exports/vgg19_normalised_adain.pth A.jpg B.jpg

Gives A's features the channel means and standard deviations of B's (Huang and Belongie 2017, eq. 8). A
decoder trained on such features makes the picture; train it anew for a new encoder.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn


def encoder(state: dict[str, Tensor]) -> nn.Sequential:
    """Layer 0 makes the network's input of RGB in [0, 1]; then padding, convolution, rectifier, some pools.

    A gap of four places between two convolutions, rather than three, holds a pool.
    """
    places = sorted(int(key.split(".")[0]) for key in state if key.endswith(".weight"))
    layers: dict[str, nn.Module] = {"0": nn.Conv2d(3, 3, 1)}
    for place, after in zip(places[1:], [*places[2:], places[-1] + 3], strict=True):
        out, into = state[f"{place}.weight"].shape[:2]
        layers[str(place - 1)] = nn.ReflectionPad2d(1)
        layers[str(place)] = nn.Conv2d(into, out, 3)
        layers[str(place + 1)] = nn.ReLU()
        if after - place == 4:
            layers[str(place + 2)] = nn.MaxPool2d(2, 2, ceil_mode=True)
    module = nn.Sequential(*(layers[str(i)] for i in range(len(layers))))
    module.load_state_dict(state)
    return module.eval().requires_grad_(False)


def adain(content: Tensor, style: Tensor) -> Tensor:
    """The content's features with the style's mean and standard deviation in every channel."""
    std, mean = torch.std_mean(style, dim=(2, 3), keepdim=True)
    own_std, own_mean = torch.std_mean(content, dim=(2, 3), keepdim=True)
    return (content - own_mean) / (own_std + 1e-5) * std + mean


def read(path: str, size: int) -> Tensor:
    image = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)[None]


def main(argv: Sequence[str] | None = None) -> Tensor:
    parser = argparse.ArgumentParser(description="AdaIN on the features of two pictures.")
    parser.add_argument("weights", help="…_normalised_adain.pth")
    parser.add_argument("pictures", nargs=2)
    parser.add_argument("--depth", type=int, default=31, help="layers to keep; 31 ends at relu4_1 of VGG-19")
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args(argv)

    network = encoder(torch.load(options.weights, weights_only=True))[: options.depth]
    content, style = (network(read(path, options.size)) for path in options.pictures)
    features = adain(content, style)
    print(f"{features.shape[1]} channels, {features.shape[2]} x {features.shape[3]}")
    print(f"mean activation of the content {content.mean():.3f}, of the style {style.mean():.3f}")
    return features


if __name__ == "__main__":
    main()
