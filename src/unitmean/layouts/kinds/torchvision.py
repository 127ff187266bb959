"""torchvision's keys: `features.0.weight`; also timm's VGG, and files of a VGG's features alone."""

from pathlib import Path

from torch import Tensor

from unitmean.layouts.layout import Canonical, Layout, State, moved, save
from unitmean.networks.architectures import Network
from unitmean.networks.skeleton import skeleton

TIMM_HEAD = {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3", "head.fc": "classifier.6"}
HOW = """\
Module and keys are torchvision's; preprocess as said above.

    network = torchvision.models.{model}()
    network.load_state_dict(torch.load("{file}", weights_only=True))"""
WITHOUT_HEAD = """\
Keys are torchvision's `features.…`; preprocess as said above.

    network = torchvision.models.{model}()
    network.load_state_dict(torch.load("{file}", weights_only=True), strict=False)

Only `network.features`, as far as the file goes, then holds something."""


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
    return (WITHOUT_HEAD if network.truncated else HOW).format(model=network.name, file=file)


LAYOUT = Layout(
    "torchvision",
    keys="torchvision (features.0.weight)",
    read=read,
    fits="any",
    program="`torchvision.models`",
    misfit=lambda network: None,
    write=write,
    how=how,
)
