"""Style transfer with both networks, and how its losses fall."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import nn

from unitmean.device import choose_device
from unitmean.disk.atomic import write_json, write_text
from unitmean.disk.digest import sha256
from unitmean.disk.progress import Bar
from unitmean.errors import InvarianceError
from unitmean.layouts.networks import read_network
from unitmean.networks.features import features
from unitmean.networks.transfer_layers import transfer_layers
from unitmean.pipeline.disk.folders import write_nothing
from unitmean.pipeline.stages.entry import Run, stage
from unitmean.pipeline.transfer.shares import figures, layer_table, loss_table, require_finite, too_little
from unitmean.style.losses import Losses, LossWeights, Picture, losses_at_start
from unitmean.style.pictures import content_picture, style_picture, write_picture
from unitmean.style.source import differing
from unitmean.style.stylise import Descent, stylise

Preview = Callable[[int, Picture], None]


@stage
def transfer_style(run: Run) -> str:
    """Give the content picture the style picture's Gram matrices, once with each network."""
    model, settings = dict(run.params.model), run.params.transfer
    if not settings.enabled:
        return _nothing(run)
    run.clear()
    device = choose_device(run.params.runtime.device)
    content = content_picture(_path(settings.content), settings.pixels)
    style = style_picture(_path(settings.style), *content.shape[2:], seed=settings.seed).to(device)
    example = read_network(run.dep("weights.safetensors"), **model).network
    usual_content, usual_styles = transfer_layers(example, content)
    # Not every network has pooling to replace.
    pools = model["pooling"] == "avg" or any(isinstance(p, nn.MaxPool2d) for p in example.module.modules())
    pooling = settings.pooling if pools else model["pooling"]
    content = content.to(device)
    content_layer = settings.content_layer or usual_content
    style_layers = usual_styles if settings.style_layers is None else settings.style_layers
    layers = list(dict.fromkeys([*style_layers, content_layer]))
    alike = LossWeights(content_layer, style_layers, settings.content_weight, settings.style_weight)
    corrected = replace(alike, by_channels=True)
    descent = Descent(
        **{key: settings[key] for key in ("steps", "optimiser", "init", "scales", "rate", "seed")}
    )
    stylised, measured = {}, {}
    for name, file in (("plain", "weights.safetensors"), ("normalised", "normalised.safetensors")):
        # The losses at the start, with the pooling of the statistics (model.pooling).
        network = read_network(run.dep(file), **model).network.to(device)
        seen = features(network, content, layers)
        measured[name] = losses_at_start(seen, content, style, alike)
        weights = alike
        if name == "plain":
            measured["plain_authors"] = losses_at_start(seen, content, style, corrected)
            weights = corrected if settings.layer_weights == "authors" else alike
        # The transfer, with transfer.pooling: Gatys et al. use average pooling, and with max pooling random
        # weights hardly transfer style.
        network = read_network(run.dep(file), **model | {"pooling": pooling}).network.to(device)
        preview = partial(_preview, run.out("transfer"), name, settings.preview)
        with Bar(f"stylising, {name} network", settings.steps * settings.scales, "steps") as bar:
            stylised[name] = stylise(
                features(network, content, layers),
                content,
                style,
                weights=weights,
                descent=descent,
                on_step=partial(_advance, bar, preview),
            )
    require_finite(stylised)
    pictures = {"content": content, "style": style} | {name: r.picture for name, r in stylised.items()}
    for name, picture in pictures.items():
        write_picture(run.out("transfer") / f"{name}.png", picture)
    table = loss_table(stylised, content_layer)
    write_text(run.out("losses.csv"), table.to_csv(index=False, float_format="%.6g"))
    write_text(run.out("style.csv"), layer_table(measured).to_csv(index=False, float_format="%.6g"))
    failed = too_little(stylised, settings.min_decrease)
    write_json(run.out("transfer.json"), {"passed": not failed} | figures(stylised, measured))
    # For the report. Beside the pictures, since transfer.json is a table of figures.
    used = {"pooling": pooling, "layer_weights": settings.layer_weights}
    digest = sha256(run.dep("normalised.safetensors"))
    write_json(run.out("transfer") / "settings.json", used | {"sha256": digest})
    if failed:  # last, so that the report finds everything on disk
        raise InvarianceError(failed)
    falls = ", ".join(f"{name} {r.decrease:.1%}" for name, r in stylised.items())
    warnings = differing({"pooling": model["pooling"]}, {"pooling": pooling})
    return "; ".join([f"loss fell by: {falls}", *warnings])


def _nothing(run: Run) -> str:
    """The files of a style transfer that wasn't asked for: a folder that says so, tables without rows."""
    words = "not asked for; transfer=smoke shows what normalising does to a picture"
    write_nothing(run.out("transfer"), words)
    write_text(run.out("losses.csv"), "step,plain,normalised,plain_pixels,normalised_pixels\n")
    write_text(run.out("style.csv"), "layer,plain,normalised\n")
    write_json(run.out("transfer.json"), {})
    return words


def _advance(bar: Bar, preview: Preview, step: int, losses: Losses, picture: Picture) -> None:
    if step:  # 0 is the start
        bar.advance()
        preview(step, picture)


def _preview(folder: Path, name: str, every: int | None, step: int, picture: Picture) -> None:
    if every and step % every == 0:
        write_picture(folder / f"{name}_{step:05}.png", picture)


def _path(value: str | None) -> Path | None:
    return Path(value).expanduser() if value else None


if __name__ == "__main__":
    transfer_style()
