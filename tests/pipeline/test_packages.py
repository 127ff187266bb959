"""What a setting needs, a package or a network that fits, is missed before anything runs."""

import sys

import pytest

from unitmean.errors import ConfigError, WeightsError
from unitmean.layouts import writing
from unitmean.pipeline.commands.packages import require_packages
from unitmean.pipeline.config.check import Values
from unitmean.pipeline.exports import hub


def settings(
    *, enabled: bool = False, engine: str = "local", exports: tuple[str, ...] = (), model: str = "vgg19"
) -> Values:
    code, colon, name = model.rpartition(":")
    return {
        "model": {"name": name, "code": code if colon else None},
        "hub": {"enabled": enabled},
        "collect": {"engine": engine},
        "rescale": {"exports": list(exports)},
    }


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (settings(enabled=True), r"hub.enabled=true needs the package huggingface_hub.*unitmean\[hub\]"),
        (settings(engine="ray"), r"collect.engine=ray needs Ray.*unitmean\[ray\]"),
        (settings(exports=("adain", "keras")), r"rescale.exports=keras needs.*h5py.*unitmean\[keras\]"),
    ],
)
def test_what_is_missing_is_named(values: Values, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (hub, writing):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "ray", None)
    require_packages(settings(exports=("all",)))  # which stands for those that fit
    with pytest.raises(ConfigError, match=words):
        require_packages(values)


@pytest.mark.parametrize(
    ("layout", "model"),
    [
        ("adain", "squeezenet1_1"),
        ("adain", "vgg19_bn"),
        ("keras", "vgg11"),
        ("leongatys", "vgg16"),
        ("neural_style_pt", "vgg13"),
        ("adain", "nets.py:vgg19"),
    ],
)
def test_a_layout_that_cant_take_the_network_is_refused(layout: str, model: str) -> None:
    with pytest.raises(
        WeightsError, match=rf"rescale.exports={layout} doesn't fit: .*; found {model}: leave it"
    ):
        require_packages(settings(exports=("torchvision", layout), model=model))


def test_what_is_there_passes() -> None:
    require_packages(settings(enabled=True, exports=("adain", "keras", "onnx")))
    require_packages(settings(exports=("all", "torchvision", "onnx"), model="nets.py:net"))
