"""Style transfer with both networks, and how its losses fall."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
from unitmean.style.stylise import Descent, Stylised, stylise

Preview = Callable[[int, Picture], None]
FILES = {"plain": "weights.safetensors", "normalised": "normalised.safetensors"}


@stage
def transfer_style(run: Run) -> str:
    """Give the content picture the style picture's Gram matrices, once with each network."""
    if not run.params.transfer.enabled:
        return _nothing(run)
    run.clear()
    task = _task(run)
    at_start = _losses_at_start(run, task)
    stylised = {name: _stylise(run, task, name) for name in FILES}
    require_finite(stylised)
    failed = too_little(stylised, run.params.transfer.min_decrease)
    _write(run, task, at_start, stylised, passed=not failed)
    if failed:  # last, so that the report finds everything on disk
        raise InvarianceError(failed)
    falls = ", ".join(f"{name} {result.decrease:.1%}" for name, result in stylised.items())
    warnings = differing({"pooling": run.params.model.pooling}, {"pooling": task.pooling})
    return "; ".join([f"loss fell by: {falls}", *warnings])


@dataclass(frozen=True)
class _Task:
    """What both networks are to do: two pictures, on the device, and the losses by which they are compared.

    corrected: the losses with the layers' weights that the paper's authors give the original network.
    """

    device: str
    content: Picture
    style: Picture
    pooling: str
    alike: LossWeights
    corrected: LossWeights

    @property
    def layers(self) -> list[str]:
        return list(dict.fromkeys([*self.alike.style_layers, self.alike.content_layer]))


def _task(run: Run) -> _Task:
    model, settings = dict(run.params.model), run.params.transfer
    device = choose_device(run.params.runtime.device)
    content = content_picture(_path(settings.content), settings.pixels)
    style = style_picture(_path(settings.style), *content.shape[2:], seed=settings.seed)
    network = read_network(run.dep(FILES["plain"]), **model).network
    usual_content, usual_styles = transfer_layers(network, content)
    # Not every network has pooling to replace.
    pools = model["pooling"] == "avg" or any(isinstance(p, nn.MaxPool2d) for p in network.module.modules())
    alike = LossWeights(
        settings.content_layer or usual_content,
        usual_styles if settings.style_layers is None else settings.style_layers,
        settings.content_weight,
        settings.style_weight,
    )
    return _Task(
        device,
        content.to(device),
        style.to(device),
        settings.pooling if pools else model["pooling"],
        alike,
        replace(alike, by_channels=True),
    )


def _losses_at_start(run: Run, task: _Task) -> dict[str, Losses]:
    """Each network's losses of the content picture, with the pooling of the statistics (model.pooling)."""
    found: dict[str, Losses] = {}
    for name, file in FILES.items():
        network = read_network(run.dep(file), **run.params.model).network.to(task.device)
        seen = features(network, task.content, task.layers)
        found[name] = losses_at_start(seen, task.content, task.style, task.alike)
        if name == "plain":
            found["plain_authors"] = losses_at_start(seen, task.content, task.style, task.corrected)
    return found


def _stylise(run: Run, task: _Task, name: str) -> Stylised:
    """The transfer, with transfer.pooling.

    Gatys et al. use average pooling, and with max pooling random weights hardly transfer style.
    """
    settings = run.params.transfer
    stored = read_network(run.dep(FILES[name]), **dict(run.params.model) | {"pooling": task.pooling})
    network = stored.network.to(task.device)
    descent = Descent(
        **{key: settings[key] for key in ("steps", "optimiser", "init", "scales", "rate", "seed")}
    )
    authors = name == "plain" and settings.layer_weights == "authors"
    preview = partial(_preview, run.out("transfer"), name, settings.preview)
    with Bar(f"stylising, {name} network", settings.steps * settings.scales, "steps") as bar:
        return stylise(
            features(network, task.content, task.layers),
            task.content,
            task.style,
            weights=task.corrected if authors else task.alike,
            descent=descent,
            on_step=partial(_advance, bar, preview),
        )


def _write(
    run: Run, task: _Task, at_start: Mapping[str, Losses], stylised: Mapping[str, Stylised], *, passed: bool
) -> None:
    folder = run.out("transfer")
    made = {name: result.picture for name, result in stylised.items()}
    for name, picture in ({"content": task.content, "style": task.style} | made).items():
        write_picture(folder / f"{name}.png", picture)
    table = loss_table(stylised, task.alike.content_layer)
    write_text(run.out("losses.csv"), table.to_csv(index=False, float_format="%.6g"))
    write_text(run.out("style.csv"), layer_table(at_start).to_csv(index=False, float_format="%.6g"))
    write_json(run.out("transfer.json"), {"passed": passed} | figures(stylised, at_start))
    # For the report. Beside the pictures, since transfer.json is a table of figures.
    used = {"pooling": task.pooling, "layer_weights": run.params.transfer.layer_weights}
    digest = sha256(run.dep(FILES["normalised"]))
    write_json(folder / "settings.json", used | {"sha256": digest})


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
