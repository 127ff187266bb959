"""The `.weights.h5` of keras.applications' VGG16 and VGG19, and the older `.h5` files of the same networks.

Keras's kernels are height x width x in x out, its matrices in x out, and its head flattens height, width and
channels in this order. Its VGGs take Caffe's input.
"""

import re
from itertools import count
from pathlib import Path

from torch import Tensor

from unitmean.errors import WeightsError
from unitmean.layouts.layout import Canonical, Layout, State, input_in_words
from unitmean.layouts.measured import USUAL, averaged, classes, reflected
from unitmean.networks.architectures import Network
from unitmean.networks.inputs import CAFFE
from unitmean.networks.layers import layer_names

HEAD = {"fc6": "fc1", "fc7": "fc2", "fc8": "predictions"}
ARCHITECTURES = "vgg16|vgg19"
HOW = """\
Keras's network of the same name, with {head}; preprocess by `keras.applications.{module}.preprocess_input`.

    network = keras.applications.{model}(include_top={top}, weights="{file}"{options})
{changes}"""
AVERAGED = """\
    def averaged(layer):  # average pooling, as measured, in place of Keras's max pooling
        if isinstance(layer, keras.layers.MaxPooling2D):
            return keras.layers.AveragePooling2D(2, name=layer.name)
        return type(layer).from_config(layer.get_config())
    weights = network.get_weights()
    network = keras.models.clone_model(network, clone_function=averaged)
    network.set_weights(weights)"""


def read(state: State, architecture: str) -> Canonical | None:
    """Tensors of an optimiser, which the file of a whole model holds, are left out."""
    layers, left = _by_layer(state)
    paths = _paths(architecture)
    if not layers or not any(name in paths for name in layers):
        return None
    if strange := [name for name in layers if name not in paths]:
        raise WeightsError(
            f"weights in Keras's layout must fit {architecture}, whose layers are {list(paths)!r}; "
            f"found {strange[:4]!r}; check model.name, or take another head off in Keras"
        )
    found = {}
    for name, tensors in layers.items():
        kernels = [tensor for tensor in tensors if tensor.ndim in (2, 4)]
        biases = [tensor for tensor in tensors if tensor.ndim == 1]
        if len(kernels) != 1 or len(biases) != 1 or len(tensors) != 2:
            shapes = [tuple(tensor.shape) for tensor in tensors]
            raise WeightsError(
                f"Keras's layer {name!r} must hold a kernel and a bias; found the shapes {shapes}; "
                "check the file"
            )
        found[f"{paths[name]}.weight"] = _kernel(kernels[0], first=paths[name] == paths["fc1"])
        found[f"{paths[name]}.bias"] = biases[0]
    notes = (f"{left} tensors of an optimiser were left out",) if left else ()
    return Canonical(found, "keras", CAFFE, notes)


def _by_layer(state: State) -> tuple[dict[str, list[Tensor]], int]:
    """The tensors of each layer under its name in Keras, and how many are an optimiser's."""
    layers: dict[str, list[Tensor]] = {}
    left = 0
    for key, tensor in state.items():
        parts = [part for part in key.split("/") if part not in ("model_weights", "layers", "vars")] or [key]
        if parts[0].startswith("optimizer"):
            left += 1
        else:
            layers.setdefault(_numbered(parts[0]) or parts[0], []).append(tensor)
    return layers, left


def _numbered(name: str) -> str | None:
    """A layer's number in its class, where its name is one: `conv2d_4` is `#conv 4`, `dense` is `#fc 0`."""
    match = re.fullmatch(r"(conv2d|dense)(?:_(\d+))?", name)
    return f"#{'conv' if match[1] == 'conv2d' else 'fc'} {match[2] or 0}" if match else None


def _paths(architecture: str) -> dict[str, str]:
    """Module path by a layer's name in Keras, and by its number in its class, as `#conv 4`."""
    if architecture not in ("vgg16", "vgg19"):
        return {}
    paths: dict[str, str] = {}
    numbers = {"conv": count(), "fc": count()}
    for path, name in layer_names(architecture).items():
        for kind in numbers:
            if name.startswith(kind):
                paths[_name(name)] = path
                paths[f"#{kind} {next(numbers[kind])}"] = path
    return paths


def _name(name: str) -> str:
    """Keras's name of a layer: `conv1_1` is `block1_conv1`, `fc8` is `predictions`."""
    return HEAD.get(name) or re.sub(r"conv(\d)_(\d)", r"block\1_conv\2", name)


def _kernel(kernel: Tensor, *, first: bool) -> Tensor:
    if kernel.ndim == 4:
        return kernel.permute(3, 2, 0, 1).contiguous()
    matrix = kernel.T
    if first:
        side = round((matrix.shape[1] / 512) ** 0.5)
        if side * side * 512 != matrix.shape[1]:
            raise WeightsError(
                f"Keras's layer 'fc1' must take 512 channels at height times width; found {matrix.shape[1]} "
                "inputs; check the file"
            )
        matrix = matrix.reshape(-1, side, side, 512).permute(0, 3, 1, 2).flatten(1)
    return matrix.contiguous()


def misfit(network: Network) -> str | None:
    convolutions = [name for name in layer_names(network.architecture).values() if name.startswith("conv")]
    has = [name for name in network.layers.values() if name.startswith("conv")]
    padding = "reflection" if reflected(network) else "zero"
    fits = (
        re.fullmatch(ARCHITECTURES, network.architecture) and network.input == CAFFE and has == convolutions
    )
    if fits and padding == "zero":
        return None
    return (
        "it takes all convolutions of vgg16 and vgg19 with zero padding, the only one that Keras's have, and "
        f"Caffe's input (BGR in 0..255 less the mean); found {network.name} with {len(has)}, {padding} "
        f"padding and the input {input_in_words(network)}"
    )


def write(path: Path, network: Network, state: State, size: int) -> None:
    """Write a file as Keras 3 does: layers numbered by class, their names as attributes."""
    import h5py

    numbers = {"conv2d": count(), "dense": count()}
    with h5py.File(path, "w", locking=False) as file:
        for layer, name in layer_names(network.architecture).items():
            if f"{layer}.weight" not in state:
                continue
            weight = state[f"{layer}.weight"].detach().cpu()
            kind = "conv2d" if weight.ndim == 4 else "dense"
            number = next(numbers[kind])
            group = file.create_group(f"layers/{kind}_{number}/vars" if number else f"layers/{kind}/vars")
            group.attrs["name"] = _name(name)
            group.create_dataset("0", data=_back(weight, first=name == "fc6").numpy())
            group.create_dataset("1", data=state[f"{layer}.bias"].detach().cpu().numpy())


def _back(weight: Tensor, *, first: bool) -> Tensor:
    """The inverse of `_kernel`."""
    if weight.ndim == 4:
        return weight.permute(2, 3, 1, 0).contiguous()
    if first:
        side = round((weight.shape[1] / 512) ** 0.5)
        weight = weight.reshape(-1, 512, side, side).permute(0, 2, 3, 1).flatten(1)
    return weight.T.contiguous()


def how(file: str, network: Network, size: int) -> str:
    count = classes(network)
    # Without an activation: torchvision's networks return logits, Keras's probabilities.
    head = "" if count is None else ", classifier_activation=None"
    text = HOW.format(
        model=network.architecture.upper(),
        module=network.architecture,
        file=file,
        head="no head" if network.truncated else "its head",
        top=not network.truncated,
        options=head if count in (None, USUAL) else f"{head}, classes={count}",
        changes=AVERAGED if averaged(network) else "",
    )
    return text.rstrip("\n")


LAYOUT = Layout(
    "keras",
    architectures=ARCHITECTURES,
    keys="Keras's VGG (block1_conv1/kernel)",
    read=read,
    fits="all convolutions of vgg16 and vgg19, zero padding, Caffe's input; needs `unitmean[keras]`",
    program="`keras.applications`",
    suffix="weights.h5",
    misfit=misfit,
    write=write,
    how=how,
    needs=("h5py",),
)
