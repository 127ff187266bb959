"""Style transfer with both networks under the same loss weights: do the losses behave, and how?"""

from functools import partial
from pathlib import Path

import pandas as pd

from unitmean.core.style import Losses, LossWeights, losses_at_start, stylise
from unitmean.disk.atomic import write_json, write_text
from unitmean.disk.networks import read_network
from unitmean.disk.pictures import content_picture, style_picture, write_picture
from unitmean.disk.progress import Bar
from unitmean.disk.transfer import figures, loss_table, require_decrease
from unitmean.networks.features import features
from unitmean.stages.entry import Run, stage


@stage
def transfer_style(run: Run) -> str:
    """Give the content picture the style picture's Gram matrices, once with each network."""
    model, settings = dict(run.params.model), run.params.transfer
    content = content_picture(_path(settings.content), settings.size)
    style = style_picture(_path(settings.style), *content.shape[2:], seed=settings.seed)
    layers = list(dict.fromkeys([*settings.style_layers, settings.content_layer]))
    weights = LossWeights(
        settings.content_layer, settings.style_layers, settings.content_weight, settings.style_weight
    )
    stylised, measured = {}, {}
    for name, file in (("plain", "weights.safetensors"), ("normalised", "normalised.safetensors")):
        # With the pooling of the statistics, which max pooling makes another network than the one below.
        network = read_network(run.dep(file), **model).network
        measured[name] = losses_at_start(features(network, content, layers), content, style, weights)
        # Gatys et al. synthesise with average pooling; random weights hardly transfer without.
        network = read_network(run.dep(file), **model | {"pooling": "avg"}).network
        with Bar(f"stylising, {name} network", settings.steps, "steps") as bar:
            stylised[name] = stylise(
                features(network, content, layers),
                content,
                style,
                weights=weights,
                steps=settings.steps,
                on_step=partial(_advance, bar),
            )
    require_decrease(stylised, settings.min_decrease)

    pictures = {"content": content, "style": style} | {name: r.picture for name, r in stylised.items()}
    for name, picture in pictures.items():
        write_picture(run.out("transfer") / f"{name}.png", picture)
    table = loss_table({name: r.losses for name, r in stylised.items()}, settings.content_layer)
    write_text(run.out("losses.csv"), table.to_csv(index=False, float_format="%.6g"))
    found = figures(stylised, measured)
    by_layer = pd.DataFrame({name: found.pop(f"{name}_layers") for name in stylised}).rename_axis("layer")
    write_text(run.out("style.csv"), by_layer.to_csv(float_format="%.6g"))
    write_json(run.out("transfer.json"), found)
    falls = ", ".join(f"{name} {r.decrease:.1%}" for name, r in stylised.items())
    return f"loss fell by: {falls}"


def _advance(bar: Bar, step: int, losses: Losses) -> None:
    if step:  # 0 is the start
        bar.advance()


def _path(value: str | None) -> Path | None:
    return Path(value) if value else None


if __name__ == "__main__":
    transfer_style()
