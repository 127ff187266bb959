"""Settings that mean nothing, as overrides and in a params.yaml edited by hand."""

from collections.abc import Callable
from pathlib import Path

from bad_case import Case

CONFIGURE = "unitmean configure"


def override(text: str, outcome: str) -> Case:
    return Case(text, lambda folder: None, CONFIGURE, outcome, (text,))


def edited(what: str, old: str, new: str, outcome: str) -> Case:
    def make(folder: Path) -> None:
        path = folder / "params.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return by_hand(what, make, outcome)


def by_hand(what: str, make: Callable[[Path], object], outcome: str) -> Case:
    return Case(what, make, "config", outcome)


SETTINGS = [
    override("dataset.subset=abc", "dataset.subset must be a whole number or null"),
    override("dataset.subset=1.5", "dataset.subset must be a whole number or null"),
    override("dataset.subset=???", r"dataset.subset must be a whole number or null; found '.*\?\?\?'"),
    override("dataset.subset=0", "dataset.subset must be at least 1"),
    override("dataset.subset=-3", "dataset.subset must be at least 1"),
    override("dataset.subset=[1,2]", "dataset.subset must be"),
    override("preprocess.pixels=-224", "preprocess.pixels must be at least 1"),
    override("dataset.count=16", "dataset.subset must be at most dataset.count"),
    override("preprocess.crop=500", "preprocess.crop must be at most preprocess.pixels"),
    override("transfer.pixels=4", "transfer.pixels must be at least 32"),
    override("collect.control_images=null", "collect.control_images must be a whole number"),
    override("collect.batch_size=true", "collect.batch_size must be a whole number"),
    override("transfer.scales=1000000000000", "which leave 0"),
    override("rescale.quantile=1.5", "rescale.quantile must be at least 1e-06 and at most 1"),
    override("verify.max_mean_ratio=nan", "verify.max_mean_ratio must be"),
    override("verify.max_mean_ratio=inf", "verify.max_mean_ratio must be"),
    override("rescale.strict=perhaps", "rescale.strict must be true or false"),
    override("rescale.exports=adain", "rescale.exports must be a list"),
    override("rescale.exports=[torch]", "rescale.exports must be a list, each item one of"),
    override("runtime.device=tpu", "runtime.device must be one of"),
    override("collect.precision=float8", "collect.precision must be one of"),
    override("collect.batch_sise=8", "did you mean collect.batch_size"),
    override("colect.batch_size=8", "did you mean collect"),
    override("model=vgg99", "model must be one of"),
    override("model.name=../../etc", "model.name must be a name"),
    override("model.name=", "must not be empty|must be a name"),
    override("dataset=folder", "dataset.path must be given"),
    override("rescale.quantile=0.9", "only where it is read, with rescale.statistic=quantile"),
    override("collect.target_share=0.9", "only where it is read, with collect.target_standard_error=…"),
    override("transfer.rate=0.1", "only where it is read, with transfer.optimiser=adam"),
    override("audit.images=9", "only where it is read, with audit.enabled=true"),
    override("hub={licence:mit}", "only where it is read, with hub.enabled=true"),
    override("preprocess.resize=shorter", "preprocess.crop must be given"),
    override("model.code=nets.txt", "model.code must be a Python file"),
    override("weights=file", "weights.path must be given"),
    override("model=[vgg16]", "model must be one of"),
    override("dataset.path=${model.name}/${nowhere}", "must compose"),
    override("~dataset.path", "keys can't be removed"),
    override("dataset.subset=1,2", "for a sweep"),
    override("hydra.run.dir=/tmp", "must set one value of this configuration"),
    override("=5", "found '' in '=5'"),
    override("dataset.path='", "must read key=value"),
]
BY_HAND = [
    by_hand("no params.yaml", lambda folder: (folder / "params.yaml").unlink(), "must exist"),
    by_hand("zero bytes", lambda folder: (folder / "params.yaml").write_bytes(b""), "params.yaml must"),
    by_hand("no YAML", lambda folder: (folder / "params.yaml").write_text("model: ["), "must be YAML"),
    by_hand("bytes that are no text",
            lambda folder: (folder / "params.yaml").write_bytes(b"\xff\xfe\xfa" * 9),
            "must be YAML"),
    by_hand("a list", lambda folder: (folder / "params.yaml").write_text("- 1\n"), "must"),
    edited("a section that is a text", "runtime:\n  device: auto\n", "runtime: cpu\n",
           "runtime must be a section"),
    edited("a wrong type", "control_images: 32", "control_images: many",
           "collect.control_images must be a whole number"),
    edited("a size below zero", "shard_size: null", "shard_size: -64",
           "collect.shard_size must be at least 1"),
    edited("a number of pixels below zero", "pixels: 224\n  crop", "pixels: -5\n  crop",
           "preprocess.pixels must be at least 1"),
    edited("a key misspelt", "batch_size: null", "batch_sise: 8", "did you mean collect.batch_size"),
    edited("an unknown device", "device: auto", "device: tpu", "runtime.device must be one of"),
    edited("a key missing", "  batch_size: null\n", "", "must hold collect.batch_size"),
    edited("another conf/'s", "conf_sha: ", "conf_sha: 0",
           "meta.conf_sha in params.yaml must be that of conf"),
]  # fmt: skip
