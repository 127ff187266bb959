"""A network, torchvision's or one's own, with given weights."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from unitmean.errors import NetworkError, WeightsError
from unitmean.graph.memory import aliases
from unitmean.graph.reload import load
from unitmean.networks.inputs import Input
from unitmean.networks.layers import layer_names
from unitmean.networks.own import own
from unitmean.networks.skeleton import is_chain, skeleton

Pooling = Literal["max", "avg"]
Padding = Literal["zeros", "reflect"]


@dataclass(frozen=True)
class Network:
    """A module in eval mode with what is known about it."""

    module: nn.Module
    architecture: str  # torchvision's name, or FILE.py:NAME
    input: Input
    truncated: bool  # ends at feature maps: no classifier, perhaps fewer convolutions
    layers: Mapping[str, str]  # module path to paper name, of the modules that are there

    @property
    def name(self) -> str:
        """What people call it: torchvision's name, or NAME of FILE.py:NAME."""
        found = own(self.architecture)
        return found[1] if found else self.architecture

    def layer(self, site: str) -> str:
        """The paper's name of a rectifier; a second use keeps its suffix, as in "layer1.0.relu#2"."""
        path, mark, use = site.partition("#")
        return self.layers.get(path, path) + mark + use

    def free_outputs(self, asked: str = "auto") -> str:
        """What becomes of outputs that may have factors: as asked, "auto" for what suits the network.

        A head's outputs are preserved, the last features of a network without one are normalised.
        """
        if asked != "auto":
            return asked
        return "normalise" if self.truncated else "preserve"

    def noise(self, size: int) -> Tensor:
        """Noise as the network takes pictures, 1 x 3 x size x size; zeros would hide what it computes."""
        generator = torch.Generator().manual_seed(0)
        return self.input.apply(torch.rand(1, 3, size, size, generator=generator))

    def to(self, device: str) -> "Network":
        """The network on a device; its module is moved, not copied."""
        return replace(self, module=self.module.to(device))


def build(
    architecture: str,
    state_dict: Mapping[str, Tensor],
    *,
    pooling: Pooling = "max",
    padding: Padding = "zeros",
    input: Input,
) -> Network:
    """The architecture with these weights (shared, not copied), truncated where the weights end.

    architecture: a name of torchvision's, or FILE.py:NAME, whose network must have exactly these weights. Of
    torchvision's the head has as many classes as the weights. vgg and alexnet without classifier keys become
    their features alone, which end after the rectifier behind the last convolution that has weights. Others
    without weights for their last layer end in front of it. Keys are torchvision's, or the own network's.
    Raises NetworkError for an unknown architecture or an impossible setting, WeightsError for keys, shapes or
    values that don't fit.
    """
    if own(architecture):
        module, truncated = skeleton(architecture), False
    else:
        module, truncated = _as_far_as_weights(architecture, state_dict)
    _check(module, state_dict, architecture)
    _set_pooling(module, pooling, architecture)
    _set_padding(module, padding)
    load(module, _tied(module, state_dict, architecture))
    module.requires_grad_(False)
    if left := [key for key, buffer in module.named_buffers() if buffer.is_meta]:
        raise NetworkError(
            f"every buffer must be in the weights file; {architecture} computes {left[0]!r} at construction; "
            "choose another model.name"
        )
    present = {path for path, _ in module.named_modules()}
    layers = {path: layer for path, layer in layer_names(architecture).items() if path in present}
    return Network(module, architecture, input, truncated, layers)


def _as_far_as_weights(name: str, state_dict: Mapping[str, Tensor]) -> tuple[nn.Module, bool]:
    """torchvision's architecture up to where the weights end, and whether that is before its end."""
    module, headless = _with_head_of(name, state_dict)
    if is_chain(module) and not any(key.startswith("classifier.") for key in state_dict):
        return _features(module, state_dict, name), True
    return module, headless


def last_layer(module: nn.Module) -> str:
    """The path of the last layer that has a matrix or kernels: in whole architectures the classes' one."""
    return [key for key, value in module.state_dict().items() if value.ndim > 1][-1].removesuffix(".weight")


def _with_head_of(name: str, state_dict: Mapping[str, Tensor]) -> tuple[nn.Module, bool]:
    """The architecture with as many classes as the weights have; without its last layer if they have none."""
    module = skeleton(name)
    expected = module.state_dict()
    head = last_layer(module)
    keys = [key for key in expected if key.startswith(f"{head}.")]
    present = state_dict.get(f"{head}.weight")
    if present is not None and present.ndim == expected[f"{head}.weight"].ndim:
        classes = len(present)
        return (module if classes == len(expected[f"{head}.weight"]) else skeleton(name, classes)), False
    others = expected.keys() - set(keys)
    if is_chain(module) or not others <= state_dict.keys() or any(key in state_dict for key in keys):
        return module, False  # `_check` reports what is wrong
    module.set_submodule(head, nn.Identity())
    return module, True


def _features(module: nn.Module, state_dict: Mapping[str, Tensor], name: str) -> nn.Module:
    features = module.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    convolutions = [i for i, part in enumerate(features) if isinstance(part, nn.Conv2d)]
    present = [i for i in convolutions if f"features.{i}.weight" in state_dict]
    if not present:
        raise WeightsError(
            f"weights of {name} must hold 'features.{convolutions[0]}.weight'; found "
            f"{list(state_dict)[:4]!r}; check weights.source and model.name"
        )
    if present[-1] != convolutions[-1]:
        end = next(i for i in range(present[-1], len(features)) if isinstance(features[i], nn.ReLU))
        features = features[: end + 1]
    # Under its old name, so that keys stay torchvision's.
    return nn.Sequential(OrderedDict(features=features)).eval()


def _check(module: nn.Module, state_dict: Mapping[str, Tensor], name: str) -> None:
    expected = module.state_dict()
    # Files older than PyTorch 0.4.1 have no such counters, which inference never reads.
    missing = [k for k in expected if k not in state_dict and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in state_dict if k not in expected]
    if missing or unexpected:
        raise WeightsError(
            f"weights of {name} must have exactly its {len(expected)} tensors; missing {len(missing)}: "
            f"{missing[:4]!r}, unexpected {len(unexpected)}: {unexpected[:4]!r}; check the file, and "
            "model.name"
        )
    for key, value in state_dict.items():
        if value.shape != expected[key].shape:
            raise WeightsError(
                f"{key} of {name} must have the shape {tuple(expected[key].shape)}; "
                f"found {tuple(value.shape)}; check the file, and model.name"
            )
        if expected[key].is_floating_point() and not value.is_floating_point():
            raise WeightsError(
                f"{key} of {name} must be floating point; found {value.dtype}; a quantised network has lost "
                "what its numbers stand for: get the file it was made from"
            )
        if key.endswith("running_var") and (below := int((value < 0).sum())):
            raise WeightsError(
                f"variances must not be negative; {key} holds {below} below zero of {value.numel()}; get the "
                "file again or choose another one"
            )
        # A finite sum has finite terms, and takes no memory; finite terms may have an infinite sum.
        finite = not value.is_floating_point() or bool(torch.isfinite(value.sum()))
        if not finite and (bad := int((~torch.isfinite(value)).sum())):
            raise WeightsError(
                f"weights must be finite; {key} holds {bad} NaN or infinite values of {value.numel()}; "
                "get the file again or choose another one"
            )


def _tied(module: nn.Module, state_dict: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The weights, one tensor under all the names of each that the network has under several."""
    found = dict(state_dict)
    for first, *others in aliases(module.state_dict(keep_vars=True)).values():
        for other in (other for other in others if first in found and other in found):
            if not torch.equal(found[first], found[other]):
                raise WeightsError(
                    f"{first} and {other} of {name} are one tensor; found different numbers for them: get "
                    "the file again, or mend model.code"
                )
            found[other] = found[first]
    return found


def _set_pooling(module: nn.Module, pooling: Pooling, name: str) -> None:
    if pooling == "max":
        return
    if pooling != "avg":
        raise NetworkError(f"model.pooling must be max or avg; found {pooling!r}")
    pools = [path for path, part in module.named_modules() if isinstance(part, nn.MaxPool2d)]
    if not pools:
        raise NetworkError(
            f"model.pooling=avg needs max pooling layers to replace; {name} has none: use model.pooling=max"
        )
    for path in pools:
        pool = module.get_submodule(path)
        assert isinstance(pool, nn.MaxPool2d)
        if pool.dilation not in (1, (1, 1)):
            raise NetworkError(f"{path} of {name} is dilated; mean pooling can't be: use model.pooling=max")
        geometry = (pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode)
        # Padded positions are no activations: they must not count in the mean.
        mean = nn.AvgPool2d(*geometry, count_include_pad=False)
        module.set_submodule(path, mean)


def _set_padding(module: nn.Module, padding: Padding) -> None:
    if padding not in get_args(Padding):
        raise NetworkError(f"model.padding must be zeros or reflect; found {padding!r}")
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and padding == "reflect":  # one's own may pad otherwise by itself
            part.padding_mode = padding
