"""The weights that torchvision publishes, and which pixels they were trained on."""

from torchvision import models

from unitmean.networks.inputs import Input
from unitmean.networks.skeleton import skeleton


def published_input(model: str) -> Input:
    """The input that torchvision's own weights of a model were trained on."""
    transforms = models.get_model_weights(model).DEFAULT.transforms()
    if hasattr(skeleton(model), "transform_input"):
        # With its weights torchvision sets `transform_input` of googlenet and inception, which converts from
        # ImageNet's mean and std to these.
        return Input("rgb", 1.0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    mean, std = (tuple(map(float, values)) for values in (transforms.mean, transforms.std))
    return Input("rgb", 1.0, mean, std)  # type: ignore[arg-type]
