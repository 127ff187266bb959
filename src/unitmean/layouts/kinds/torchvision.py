"""torchvision's keys: `features.0.weight`; also timm's VGG, and files of a VGG's features alone."""

from pathlib import Path

from torch import Tensor, nn

from unitmean.layouts.layout import Canonical, Layout, State, moved, save
from unitmean.layouts.measured import USUAL, changes, classes
from unitmean.networks.architectures import Network, last_layer
from unitmean.networks.own import own
from unitmean.networks.skeleton import is_chain, skeleton

TIMM_HEAD = {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3", "head.fc": "classifier.6"}
HOW = "Module and keys are {whose}; preprocess as said above.\n\n"


def read(state: State, architecture: str) -> Canonical | None:
    expected = skeleton(architecture).state_dict()
    if any(key in expected for key in state):
        return Canonical(_with_head(state, expected), "torchvision", None)
    behind = {f"features.{key}": value for key, value in state.items()}
    if behind and behind.keys() <= expected.keys() and not maps_pixels(state):
        return Canonical(behind, "torchvision", None)
    return None


def maps_pixels(state: State) -> bool:
    """Whether the first convolution is 1 x 1, as in AdaIN's Sequential, whose keys a VGG's features share."""
    first = state.get("0.weight")
    return first is not None and tuple(first.shape[2:]) == (1, 1)


def _with_head(state: State, expected: State) -> dict[str, Tensor]:
    if "classifier.6.weight" in expected and "head.fc.weight" in state:
        # timm's VGG, whose head is two convolutions and a linear layer.
        renamed = {moved(key, TIMM_HEAD): value for key, value in state.items()}
        matrices = {key for key in renamed if key.startswith("classifier.") and key.endswith(".weight")}
        return {key: value.flatten(1) if key in matrices else value for key, value in renamed.items()}
    if "classifier.0.weight" not in expected or "classifier.1.weight" not in state:
        return dict(state)
    # Files of early 2017 (jcjohnson/pytorch-vgg among them) count a dropout in front of each linear layer.
    old = {"classifier.1": "classifier.0", "classifier.4": "classifier.3"}
    return {moved(key, old): value for key, value in state.items()}


def write(path: Path, network: Network, state: State, size: int) -> None:
    save(path, state)


def how(file: str, network: Network, size: int) -> str:
    mine = own(network.architecture)
    whose = f"those of {mine[0].name}" if mine else "torchvision's"
    return HOW.format(whose=whose) + loading(network, f'torch.load("{file}", weights_only=True)')


def loading(network: Network, tensors: str) -> str:
    """Python, indented, that makes torchvision's module, or one's own, compute what the network does.

    `tensors` is an expression for the state dict. The module ends where the network ends, pools and pads as
    it was measured, and is in eval mode.
    """
    if mine := own(network.architecture):
        lines = [f"    network = {mine[1]}()  # of {mine[0].name}", f"    network.load_state_dict({tensors})"]
        return "\n".join([*lines, *changes(network, "network"), "    network.eval()"])
    whole, count = skeleton(network.architecture), classes(network)
    options = "" if count in (None, USUAL) else f"num_classes={count}"
    cut = network.truncated and is_chain(whole)
    lines = [f"    network = torchvision.models.{network.architecture}({options})"]
    if network.truncated and not cut:  # it ends in front of its last layer
        lines.append(f'    network.set_submodule("{last_layer(whole)}", torch.nn.Identity())')
    lines.append(f"    network.load_state_dict({tensors}{', strict=False' * cut})")
    if cut:
        features = network.module.get_submodule("features")
        assert isinstance(features, nn.Sequential)
        lines.append(f"    network = network.features[:{len(features)}]  # as far as the weights go")
    return "\n".join([*lines, *changes(network, "network"), "    network.eval()"])


LAYOUT = Layout(
    "torchvision",
    keys="torchvision (features.0.weight)",
    read=read,
    fits="any",
    program="`torchvision.models`, or one's own code",
    misfit=lambda network: None,
    write=write,
    how=how,
)
