"""What a module's network is called in the library that it comes from."""

from torch import nn
from torchvision import models

from unitmean.networks.skeleton import skeleton


def class_name(module: nn.Module) -> str:
    """The module's class, with the package that it comes from."""
    return f"{type(module).__module__}.{type(module).__qualname__}"


def known_name(module: nn.Module) -> str | None:
    """The name under which torchvision or timm builds the network; None for other packages' networks."""
    package = type(module).__module__.partition(".")[0]
    if package == "timm":
        made = getattr(module, "pretrained_cfg", None)
        found = made.get("architecture") if isinstance(made, dict) else getattr(made, "architecture", None)
        return f"timm {found}" if isinstance(found, str) else None
    if package != "torchvision":
        return None
    shapes = {name: tensor.shape for name, tensor in module.state_dict().items()}
    parameters = sum(parameter.numel() for parameter in module.parameters())
    for name in models.list_models(module=models):
        # Building one takes a tenth of a second; the documented number of parameters rules out most.
        if models.get_model_weights(name).DEFAULT.meta["num_params"] != parameters:
            continue
        if {key: tensor.shape for key, tensor in skeleton(name).state_dict().items()} == shapes:
            return f"torchvision {name}"
    return None
