"""How RGB in [0, 1] becomes what weights were trained on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from unitmean.errors import DataError, WeightsError


@dataclass(frozen=True)
class Input:
    """(scale * x[order] - mean) / std, with mean and std in the order of the output's channels."""

    order: Literal["rgb", "bgr"]
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def apply(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The network's input, from RGB in [0, 1]."""
        pixels = x.flip(1) if self.order == "bgr" else x
        # Filled on the device: copying a tensor of Python's numbers to it would wait for the GPU's queue.
        mean, std = (
            torch.cat([x.new_full((1, 1, 1, 1), value) for value in values], 1)
            for values in (self.mean, self.std)
        )
        return (pixels * self.scale - mean) / std

    def to_dict(self) -> dict[str, Any]:
        """A plain dict that JSON can hold."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Input":
        """The inverse of `to_dict`; WeightsError when a field is missing or wrong."""
        try:
            mean, std = (tuple(map(float, value[key])) for key in ("mean", "std"))
            found = cls(value["order"], float(value["scale"]), mean, std)  # type: ignore[arg-type]
            proper = found.order in ("rgb", "bgr") and len(mean) == len(std) == 3 and min(std) > 0
        except (KeyError, TypeError, ValueError):
            proper = False
        if not proper:
            raise WeightsError(
                "a network's input must have order (rgb or bgr), scale, three means, three positive stds; "
                f"found {value!r}; write the weights file again"
            )
        return found


def require_images(image: Any, dtype: torch.dtype) -> None:
    """DataError unless it is a batch of pictures, n x 3 x h x w, of the network's type, or under autocast.

    Whole numbers would be computed with, and wrap around.
    """
    shape = tuple(image.shape) if isinstance(image, Tensor) else ()
    if len(shape) != 4 or shape[1] != 3 or not image.is_floating_point():
        kind = f"{image.dtype} of {' x '.join(map(str, shape))}" if shape else type(image).__name__
        raise DataError(
            f"images must be a floating tensor, n x 3 x height x width, RGB in [0, 1]; found {kind}: convert "
            "them, as by image.float() / 255 or image[None]"
        )
    if image.dtype != dtype and not torch.is_autocast_enabled(image.device.type):
        raise DataError(
            f"images must be of the network's type, {dtype}; found {image.dtype}: convert them, or the "
            "network"
        )


def recorded_input(record: Mapping[str, Any] | None) -> Input | None:
    """The input that a file's metadata name, None where they name none; WeightsError as of `from_dict`."""
    return Input.from_dict(record["input"]) if record is not None and "input" in record else None


# https://docs.pytorch.org/vision/stable/models.html (the transforms of the ImageNet weights)
TORCHVISION = Input("rgb", 1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# https://github.com/jcjohnson/pytorch-vgg and the models' own page,
# https://gist.github.com/ksimonyan/3785162f95cd2d5fee77: BGR in 0..255 less the training set's mean.
CAFFE = Input("bgr", 255.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
# Of networks that subtract a mean and divide by a deviation themselves, where they do.
UNIT = Input("rgb", 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
INPUTS = {"torchvision": TORCHVISION, "caffe": CAFFE, "unit": UNIT}  # by the names that settings call them
