"""A package that a setting needs is missed before anything runs."""

import sys

import pytest

from unitmean.errors import ConfigError
from unitmean.layouts import writing
from unitmean.pipeline.commands.packages import require_packages
from unitmean.pipeline.config.check import Values
from unitmean.pipeline.exports import hub


def settings(*, enabled: bool = False, engine: str = "local", exports: tuple[str, ...] = ()) -> Values:
    return {"hub": {"enabled": enabled}, "collect": {"engine": engine}, "rescale": {"exports": list(exports)}}


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


def test_what_is_there_passes() -> None:
    require_packages(settings(enabled=True, exports=("adain", "keras", "onnx")))
