"""A folder as the Hugging Face hub takes it: weights, config.json, a model card, the report, pictures."""

import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitmean.disk.atomic import write_json, write_text, writing
from unitmean.errors import ConfigError
from unitmean.hub import WEIGHTS
from unitmean.layouts.networks import Stored
from unitmean.pipeline.exports.card import card

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

TAGS = ("normalised", "style-transfer", "perceptual-loss", "rectifier", "image-feature-extraction")


def require_hub() -> None:
    """ConfigError where huggingface_hub isn't installed, which writes the card."""
    if find_spec("huggingface_hub") is None:
        raise ConfigError(
            "hub.enabled=true needs the package huggingface_hub; found none: install unitmean[hub], or leave "
            "it out"
        )


def write_hub(
    folder: Path,
    weights: Path,
    digest: str,
    stored: Stored,
    settings: Mapping[str, Any],
    rescale: Mapping[str, int],
    proof: Mapping[str, Any],
    beside: Mapping[str, Path],
) -> None:
    """Write model.safetensors (a copy of `weights`), config.json, README.md and the files `beside`, by name.

    `stored` is the network in `weights`, whose sha256 is `digest`; `settings` are those of `hub`, `rescale`
    and `proof` the stages' figures.
    """
    from huggingface_hub import ModelCard, ModelCardData

    network, metadata = stored.network, stored.metadata
    for name, path in {WEIGHTS: weights, **beside}.items():
        with writing(folder / name) as temporary:
            shutil.copyfile(path, temporary)
    write_json(folder / "config.json", _config(stored, digest))
    data = ModelCardData(
        license=settings["licence"] or metadata.get("spdx", "other"),
        library_name="unitmean",
        pipeline_tag="image-feature-extraction",
        tags=[*TAGS, network.name],
        base_model=settings["base_model"],
        model_name=f"{network.name}, normalised",
        eval_results=_results(metadata.get("statistics", {}).get("dataset", "unknown"), proof),
    )
    pictures = [f"![{alt}]({name})" for name, alt in PICTURES.items() if name in beside]
    body = "\n\n".join([card(network, metadata, digest, {}, {}, rescale, hub=True), *pictures, REPORT])
    # Parsed by the hub's own library, so that a card that it can't read is refused here.
    written = ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n")
    write_text(folder / "README.md", str(written))


PICTURES = {
    "means.png": "Channel means before and after",
    "preview.png": "Style transfer with the normalised network",
}
REPORT = "Figures, proof and what the run was: `report.html`, one page that needs no network."


def _config(stored: Stored, digest: str) -> dict[str, Any]:
    """What `unitmean.load` needs to know of the weights in the folder."""
    network, rescale = stored.network, stored.metadata.get("rescale", {})
    measured = stored.metadata.get("statistics", {}).get("model", {})
    return {
        "library_name": "unitmean",
        "architecture": network.name,
        "truncated": network.truncated,
        "input": network.input.to_dict(),
        "pooling": measured.get("pooling"),
        "padding": measured.get("padding"),
        "statistic": rescale.get("statistic"),
        "outputs": rescale.get("outputs"),
        "sha256": digest,
    }


def _results(dataset: str, proof: Mapping[str, Any]) -> "list[EvalResult]":
    """The proof's figures as the hub lists them."""
    from huggingface_hub import EvalResult

    figures = {
        "output_change_float64": ("relative change of the output, float64", proof["float64_difference"]),
        "mean_error": ("largest relative error of a channel's mean", proof["max_mean_error"]),
        "top1_agreement": ("same top-1 class as the original", proof["top1_agreement"]),
    }
    return [
        EvalResult(
            task_type="image-feature-extraction",
            dataset_type=dataset,
            dataset_name=dataset,
            metric_type=name,
            metric_name=words,
            metric_value=value,
        )
        for name, (words, value) in figures.items()
        if value is not None
    ]
